//! [`Shape`]: what a JSON text may say, as data. A test holds it together with the type that the text is read into.

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// Anything.
    Any,
    /// An integer within bounds.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// Whether 0 is none, although it is within them.
        but_zero: bool,
        /// What else there is to say.
        why: &'static str,
    },
    /// `true` or `false`.
    Boolean,
    /// A string that this has nothing against.
    Text(fn(&str) -> Result<(), String>),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// An array of at least one of these.
    Lines(&'static Shape),
    /// An object of these fields, each at most once, and no others.
    Object(&'static [Field]),
}

/// A field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether it may be left out.
    pub needed: Needed,
    /// What it may be.
    pub shape: Shape,
}

/// Whether a field may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// It must be there.
    Always,
    /// It may be left out, or null.
    Optional,
    /// It may be left out.
    Defaulted,
}

/// What is read from JSON of that shape, and from no other.
pub trait Shaped {
    /// The shape.
    const SHAPE: &'static Shape;
}

impl Shape {
    /// An integer from `min` to `max`.
    pub const fn integer(min: i64, max: i64) -> Self {
        Self::Integer { min, max, but_zero: false, why: "" }
    }

    /// What a value of this shape must be, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Any => "may be anything".to_owned(),
            Self::Integer { min, max, why, .. } if min == max => format!("must be {min}{why}"),
            Self::Integer { min, max, but_zero, why } => {
                let but_zero = if *but_zero { ", not 0" } else { "" };
                format!("must be an integer from {min} to {max}{but_zero}{why}")
            }
            Self::Boolean => "must be true or false".to_owned(),
            Self::Text(_) => "must be a string".to_owned(),
            Self::Choice(choices) => {
                let choices: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
                format!("must be {}", choices.join(" or "))
            }
            Self::Lines(_) => "must be an array".to_owned(),
            Self::Object(_) => "must be an object".to_owned(),
        }
    }
}
