//! Cuts what comes in, piece by piece, into lines, and numbers them.

use crate::store::chores::StockForm;

/// The longest line, in bytes: a multiple of what the longest names and numbers take.
pub(super) const LINE_BYTES_MAX: usize = 4096;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// How many lines have ended.
    ended: u64,
    /// Whether the line under way is longer than it may be: the rest of it is passed over.
    too_long: bool,
    /// Whether a carriage return alone ends a line, as spreadsheets of old write them.
    ends_at_return: bool,
    /// Whether the last byte was one that did: a line feed after it is of the same end.
    after_return: bool,
}

impl Lines {
    /// Of a file of that form.
    pub(super) fn of(form: StockForm) -> Self {
        Self { ends_at_return: form == StockForm::Csv, ..Self::default() }
    }

    /// Calls `each` with the number of every line that ends in these bytes, and its bytes: `None` for one that is too long.
    pub(super) fn push<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let at_return = self.ends_at_return;
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n' || (at_return && byte == b'\r')) {
            let (line, ended_by, rest) = (&bytes[..end], bytes[end], &bytes[end + 1..]);
            bytes = rest;
            if self.after_return && line.is_empty() && ended_by == b'\n' {
                self.after_return = false;
                continue;
            }
            if self.begun.is_empty() && !self.too_long {
                self.ended += 1;
                each(self.ended, (line.len() <= LINE_BYTES_MAX).then_some(line))?;
            } else {
                self.take_in(line);
                self.end(&mut each)?;
            }
            self.after_return = ended_by == b'\r';
        }
        self.take_in(bytes);
        Ok(())
    }

    /// The last line, where no line end follows it.
    pub(super) fn finish<E>(
        &mut self,
        mut each: impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.begun.is_empty() && !self.too_long { Ok(()) } else { self.end(&mut each) }
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.after_return &= bytes.is_empty();
        self.too_long |= self.begun.len() + bytes.len() > LINE_BYTES_MAX;
        if self.too_long {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn end<E>(&mut self, each: &mut impl FnMut(u64, Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        self.ended += 1;
        let outcome = each(self.ended, (!self.too_long).then_some(self.begun.as_slice()));
        self.begun.clear();
        self.too_long = false;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a text is cut, its lines and their numbers are the same, and none is longer than it may be.
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_come(
            lines in prop::collection::vec(prop_oneof![9 => 0..40_usize, 1 => 4090..5000_usize], 0..20),
            ends in any::<bool>(),
            cut in 1..3000_usize,
        ) {
            let text: Vec<String> = lines.iter().map(|&len| "x".repeat(len)).collect();
            let mut text = text.join("\n").into_bytes();
            if ends {
                text.push(b'\n');
            }
            let mut seen = Vec::new();
            let mut each = |number, line: Option<&[u8]>| {
                seen.push((number, line.map(<[u8]>::len)));
                Ok::<_, ()>(())
            };
            let mut cutter = Lines::of(StockForm::Ndjson);
            for piece in text.chunks(cut) {
                cutter.push(piece, &mut each).unwrap();
            }
            cutter.finish(&mut each).unwrap();
            let mut expected: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let expected: Vec<_> = (1..)
                .zip(expected)
                .map(|(number, line)| (number, (line.len() <= LINE_BYTES_MAX).then_some(line.len())))
                .collect();
            prop_assert_eq!(seen, expected);
        }

        /// Whichever end its lines have, a file of cells has the same lines, however it is cut.
        #[test]
        fn lines_of_cells_end_as_they_do_anywhere(
            lines in prop::collection::vec("[a,]{0,3}", 1..20),
            end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cut in 1..9_usize,
        ) {
            let text = lines.join(end) + end;
            let mut seen = Vec::new();
            let mut each = |number, line: Option<&[u8]>| {
                seen.push((number, String::from_utf8(line.unwrap().to_vec()).unwrap()));
                Ok::<_, ()>(())
            };
            let mut cutter = Lines::of(StockForm::Csv);
            for piece in text.as_bytes().chunks(cut) {
                cutter.push(piece, &mut each).unwrap();
            }
            cutter.finish(&mut each).unwrap();
            prop_assert_eq!(seen, (1..).zip(lines).collect::<Vec<_>>());
        }
    }
}
