//! YAML that every reader of it takes for the same document.
//!
//! The writer follows YAML 1.2, where `no` and `2026-11-22T14:05:00.123Z` are texts. Many readers, Python's among them, follow YAML 1.1, where the
//! one is false and the other a time. In quotes they are texts to everybody.

/// The same YAML, with quotes around the texts that YAML 1.1 would take for something else.
pub(super) fn quoted(yaml: &str) -> String {
    let mut out = String::with_capacity(yaml.len());
    for line in yaml.split_inclusive('\n') {
        let (said, end) = line.strip_suffix('\n').map_or((line, ""), |said| (said, "\n"));
        // Behind the dashes and the name. Texts of several lines have neither a name nor a dash that is followed by one word.
        let value = [": ", "- "].iter().filter_map(|mark| Some(said.rfind(mark)? + mark.len())).max();
        match value.filter(|&at| is_misread(&said[at..])) {
            Some(at) => out.extend([&said[..at], "'", &said[at..], "'", end]),
            None => out.push_str(line),
        }
    }
    out
}

/// Whether a plain scalar is no text in YAML 1.1, and one in YAML 1.2.
fn is_misread(scalar: &str) -> bool {
    let is_switch =
        ["y", "n", "yes", "no", "on", "off"].iter().any(|switch| scalar.eq_ignore_ascii_case(switch));
    let date = scalar.as_bytes();
    let is_time = date.len() >= 10
        && date[..4].iter().all(u8::is_ascii_digit)
        && date[4] == b'-'
        && date[5..].iter().all(|byte| byte.is_ascii_digit() || b"-:.TZ ".contains(byte));
    is_switch || is_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_1_1_would_take_for_something_else_is_in_quotes() {
        for (plain, expected) in [
            ("enum:\n- no\n- unknown\n", "enum:\n- 'no'\n- unknown\n"),
            ("a: 2026-11-22T14:05:00.123Z\n", "a: '2026-11-22T14:05:00.123Z'\n"),
            ("- b: off", "- b: 'off'"),
            ("a: 'no'\nb: \"2026-11-22\"\n", "a: 'no'\nb: \"2026-11-22\"\n"),
            (
                "a: 0.1.0\nb: 1099511627775\nc: true\nno: -3\n",
                "a: 0.1.0\nb: 1099511627775\nc: true\nno: -3\n",
            ),
            ("a: 0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e", "a: 0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e"),
            ("a: there is no\nb: up to 2026-11-22", "a: there is no\nb: up to 2026-11-22"),
        ] {
            assert_eq!(quoted(plain), expected);
        }
    }
}
