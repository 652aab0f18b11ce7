//! What is printed: tables in Markdown, so that they go into the page as they are.

use std::fs;

/// Prints a heading and a table.
pub fn show(title: &str, head: &[&str], rows: &[Vec<String>]) {
    println!("\n## {title}\n");
    let widths: Vec<usize> = (0..head.len())
        .map(|i| {
            let cells = rows.iter().map(|row| row[i].chars().count());
            cells.chain([head[i].chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<String>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("| {} |", padded.join(" | "));
    };
    line(head.iter().map(|cell| (*cell).to_owned()).collect());
    line(widths.iter().map(|width| "-".repeat(*width)).collect());
    for row in rows {
        line(row.clone());
    }
}

/// Prints what the figures were measured on.
pub fn about_this_machine() {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("Measured on {cores} cores of: {model}. Ratios are of medians of one run.");
}

/// The median; the values are put in order.
pub fn median(values: &mut [f64]) -> f64 {
    at(values, 0.5)
}

/// The value that such a share of all is below; they are put in order.
pub fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * share) as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}

/// A figure with as many digits as it deserves.
pub fn figure(value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A ratio, and whether it meets its goal.
pub fn ratio(value: f64, goal: Goal) -> String {
    judged(value, "×", goal)
}

/// A value with its unit, and whether it meets its goal.
pub fn judged(value: f64, unit: &str, goal: Goal) -> String {
    let (met, sign, bound) = match goal {
        Goal::AtLeast(bound) => (value >= bound, "≥", bound),
        Goal::AtMost(bound) => (value <= bound, "≤", bound),
    };
    let verdict = if met { "met" } else { "missed" };
    format!("{}{unit} (goal {sign} {bound}: {verdict})", figure(value))
}

/// What a value should be.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
}
