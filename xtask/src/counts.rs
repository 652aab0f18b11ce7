//! How many tests a suite says that it ran, read from what it prints.

/// What a suite counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed or were cut off.
    pub(crate) failed: u64,
    /// Tests that the suite left out, and said so.
    pub(crate) ignored: u64,
    /// Tests that a filter of ours left out.
    pub(crate) left_out: u64,
}

impl Counts {
    /// What one line of a suite's output adds: the summaries of `cargo test` and of node's test runner; any other
    /// line adds nothing.
    pub(crate) fn of_line(line: &str) -> Self {
        let line = without_escapes(line);
        let line = line.trim();
        cargo_summary(line)
            .or_else(|| node_summary(line))
            .unwrap_or_default()
    }

    /// Adds `other` to this.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.left_out += other.left_out;
    }
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn cargo_summary(line: &str) -> Option<Counts> {
    let (_verdict, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for entry in numbers.split("; ") {
        match entry.split_once(' ') {
            Some((n, "passed")) => counts.passed = n.parse().ok()?,
            Some((n, "failed")) => counts.failed = n.parse().ok()?,
            Some((n, "ignored")) => counts.ignored = n.parse().ok()?,
            Some((n, "filtered out")) => counts.left_out = n.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

/// `ℹ pass 3` of the spec reporter, `# pass 3` of the TAP reporter.
fn node_summary(line: &str) -> Option<Counts> {
    let (word, number) = line
        .strip_prefix("ℹ ")
        .or_else(|| line.strip_prefix("# "))?
        .split_once(' ')?;
    let number = number.parse().ok()?;
    let mut counts = Counts::default();
    match word {
        "pass" => counts.passed = number,
        "fail" | "cancelled" => counts.failed = number,
        "skipped" | "todo" => counts.ignored = number,
        _ => return None,
    }
    Some(counts)
}

/// `line` without the color codes of a terminal.
fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_code, after)| after);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, ignored: u64) -> Counts {
        Counts {
            passed,
            failed,
            ignored,
            left_out: 0,
        }
    }

    #[test]
    fn the_summary_of_cargo_test_is_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 4 ignored; 0 measured; 9 filtered out; finished in 1.00s";
        let left_out = 9;
        assert_eq!(
            Counts::of_line(line),
            Counts {
                left_out,
                ..counts(12, 3, 4)
            }
        );
        let colored = "test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(Counts::of_line(colored), counts(1, 0, 0));
    }

    #[test]
    fn both_reporters_of_node_are_read() {
        for mark in ["#", "ℹ", "\u{1b}[34mℹ"] {
            let mut sum = Counts::default();
            for line in [
                "tests 9",
                "suites 2",
                "pass 5",
                "fail 1",
                "cancelled 1",
                "skipped 1",
                "todo 1",
                "duration_ms 7.5",
            ] {
                sum.add(Counts::of_line(&format!("{mark} {line}\u{1b}[39m")));
            }
            assert_eq!(sum, counts(5, 2, 2), "with {mark}");
        }
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in [
            "",
            "running 3 tests",
            "test a ... ok",
            "# Subtest: pass 3",
            "ℹ pass many",
            "test result: ",
        ] {
            assert_eq!(Counts::of_line(line), Counts::default(), "{line:?} was counted");
        }
    }
}
