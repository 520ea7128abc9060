//! `--profile`: the workloads by name, one of which is no mix of operations, and where to find the one that is no workload of `run`.

use std::ffi::OsStr;

use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

use crate::workload::Profile;

/// The name of the workload that is a command: its orders come in the order of the shop's time, which no rate, duration or warm-up
/// fits, and its final stock is known beforehand.
const COMMAND: &str = "replay";

/// The name of the workload that has a course of its own.
const SHOP: &str = "shop";

/// A workload that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A mix of operations on levels.
    Mix(Profile),
    /// Reservations, orders and returns ([`crate::shop`]).
    Shop,
}

impl Named {
    /// The mix of operations, if it is one.
    pub fn mix(self) -> Option<Profile> {
        match self {
            Self::Mix(profile) => Some(profile),
            Self::Shop => None,
        }
    }
}

/// Reads the name of a workload.
#[derive(Debug, Clone)]
pub struct ProfileParser;

impl TypedValueParser for ProfileParser {
    type Value = Named;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Named, Error> {
        if value == COMMAND {
            let told = "`replay` is a command of its own: `loadtest replay URL FILE` drives a server with the orders of \
                        a real shop, such as loadtest/data/online-retail-week.csv.gz\n";
            return Err(Error::raw(ErrorKind::InvalidValue, told).with_cmd(command));
        }
        if value == SHOP {
            return Ok(Named::Shop);
        }
        EnumValueParser::<Profile>::new().parse_ref(command, argument, value).map(Named::Mix)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        // Those of the parser above, which does not outlive this.
        let values: Vec<PossibleValue> = EnumValueParser::<Profile>::new()
            .possible_values()
            .into_iter()
            .flatten()
            .chain([SHOP.into()])
            .collect();
        Some(Box::new(values.into_iter()))
    }
}
