//! What the README says had to be added is what was added.

#![expect(clippy::indexing_slicing, reason = "the helpers of tests are tests")]

const BEFORE: &str = include_str!("../before/main.rs");
const AFTER: &str = include_str!("../src/main.rs");
const README: &str = include_str!("../README.md");

/// Most lines that a second factor may cost.
const MOST: usize = 25;

/// Lines around a change that are shown.
const AROUND: usize = 2;

#[test]
fn a_second_factor_is_at_most_25_added_lines() {
    let (before, after) = (code(BEFORE), code(AFTER));
    let added = changes(&before, &after)
        .iter()
        .filter(|(mark, _)| *mark == '+')
        .count();
    assert!(added > 0 && added <= MOST, "{added} lines");
}

#[test]
fn the_readme_shows_the_whole_difference() {
    let shown = rendered(&changes(&code(BEFORE), &code(AFTER)));
    let block = format!("```diff\n{shown}```\n");
    assert!(README.contains(&block), "the README must contain:\n{block}");
}

/// The lines below the heading comment, which tells how to start each of the two.
fn code(file: &str) -> Vec<&str> {
    file.lines().skip_while(|line| line.starts_with("//!")).collect()
}

/// Each line with what became of it, by the longest common subsequence.
fn changes<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<(char, &'a str)> {
    let mut common = vec![vec![0_usize; after.len() + 1]; before.len() + 1];
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            common[i][j] = if before[i] == after[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < before.len() || j < after.len() {
        if i < before.len() && j < after.len() && before[i] == after[j] {
            lines.push((' ', before[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < before.len() && (j == after.len() || common[i + 1][j] >= common[i][j + 1]) {
            lines.push(('-', before[i]));
            i += 1;
        } else {
            lines.push(('+', after[j]));
            j += 1;
        }
    }
    lines
}

/// The changes with the lines around them, in the form of `diff -u` without line numbers.
fn rendered(changes: &[(char, &str)]) -> String {
    let near = |at: usize| {
        let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(changes.len());
        changes[around].iter().any(|(mark, _)| *mark != ' ')
    };
    let mut text = String::new();
    let mut skipped = true;
    for (at, (mark, line)) in changes.iter().enumerate() {
        if !near(at) {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            text.push_str("@@\n");
        }
        text.push_str(format!("{mark}{line}").trim_end());
        text.push('\n');
    }
    text
}
