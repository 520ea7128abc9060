//! Where the stock is that a command works on: in a data directory that nobody serves, or in a database, which replicas may be serving meanwhile.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::store::StoreArgs;
use crate::app::Place;
use crate::config::DATA_DIR_DEFAULT;
use crate::store::Database;

#[derive(Debug, Args)]
pub(super) struct DataDirArgs {
    /// Where the stock is kept; no server may be using it
    #[arg(long, env = "INVENTORY_DATA_DIR", value_name = "DIR", default_value = DATA_DIR_DEFAULT)]
    pub(super) data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    folder: DataDirArgs,
    #[command(flatten)]
    store: StoreArgs,
    /// Who said where: nobody (a default), the environment, the command line.
    #[arg(skip)]
    said_by: (Option<ValueSource>, Option<ValueSource>),
}

impl PlaceArgs {
    /// Notes who said what.
    pub(super) fn note_sources(&mut self, matches: &ArgMatches) {
        self.said_by = (matches.value_source("data_dir"), matches.value_source("store"));
    }

    /// Where it is: as for `serve`, a database that is named beats a folder, unless that is named on the command line and the database is not.
    pub(super) fn place(&self) -> Result<Place, String> {
        let usual = Database::at("");
        let Some(database) = self.store.database(usual.partitions, usual.lock_timeout) else {
            return Ok(Place::Folder(self.folder.data_dir.clone()));
        };
        let is_said = |source| source == Some(ValueSource::CommandLine);
        match (is_said(self.said_by.0), is_said(self.said_by.1)) {
            (true, true) => {
                Err("the stock is in a database (--store) or in a folder (--data-dir): say which".to_owned())
            }
            (true, false) => Ok(Place::Folder(self.folder.data_dir.clone())),
            (false, _) => Ok(Place::Store(database)),
        }
    }
}
