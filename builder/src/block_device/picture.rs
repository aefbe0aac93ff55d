//! The text of `disk plan`: a table of what is where, and a bar that shows it.

use super::show::{Row, ShownDisk, ShownGroup};
use crate::report::printable;

/// Characters of a bar between its ends.
const WIDTH: usize = 72;
/// The least that a partition has of it.
const LEAST: usize = 4;

const HEAD: [&str; 8] = ["#", "NAME", "START", "SIZE", "HOLDS", "LABEL", "MOUNTED AT", "UUID"];

/// All disks, one after the other.
pub fn text(disks: &[ShownDisk]) -> String {
    disks.iter().map(disk).collect::<Vec<_>>().join("\n")
}

fn disk(disk: &ShownDisk) -> String {
    let name = printable(disk.name.as_bytes());
    let size = match disk.size_bytes {
        Some(bytes) => size(bytes),
        None => "a size that depends on what it will hold (--size gives one)".to_owned(),
    };
    let mut text = format!("{name}: {size}, ");
    text.push_str(match disk.table {
        Some(table) => table,
        None => "no partition table",
    });
    text.push_str(&format!(", sectors of {} bytes", disk.sector_size));
    if let Some(directory) = &disk.directory {
        text.push_str(&format!(", {}/{name}.raw", printable(directory.as_bytes())));
    }
    text.push_str("\n\n");
    text.push_str(&table(&rows(disk)));
    if !disk.partitions.is_empty() {
        text.push_str(&format!("\n{}\n", bar(&disk.partitions, disk.size_bytes)));
    }
    for group in &disk.groups {
        text.push_str(&volume_bar(group));
    }
    text
}

fn volume_bar(group: &ShownGroup) -> String {
    if group.volumes.is_empty() {
        return String::new();
    }
    let whole = group.extents.map(|extents| extents * (4 << 20));
    let name = printable(group.name.as_bytes());
    format!("{}  volume group {name}\n", bar(&group.volumes, whole))
}

/// The cells of the table.
fn rows(disk: &ShownDisk) -> Vec<[String; 8]> {
    let mut rows = Vec::new();
    let mut before: Option<&str> = None;
    for row in &disk.partitions {
        let number = row.number.map(|number| number.to_string()).unwrap_or_default();
        rows.push(cells(row, number, row.name.clone(), before));
        before = Some(&row.name);
    }
    for group in &disk.groups {
        for volume in &group.volumes {
            let name = format!("{}/{}", group.name, volume.name);
            rows.push(cells(volume, String::new(), name, None));
        }
    }
    rows
}

fn cells(row: &Row, number: String, name: String, before: Option<&str>) -> [String; 8] {
    let start = match (row.start, before) {
        (Some(start), _) => size(start),
        (None, Some(before)) => format!("behind {before}"),
        (None, None) => String::new(),
    };
    let len = match (row.size_bytes, &row.wanted) {
        (Some(bytes), _) => size(bytes),
        (None, Some(wanted)) if wanted.ends_with('%') => format!("{wanted} of the rest"),
        (None, wanted) => wanted.clone().unwrap_or_default(),
    };
    // What holds nothing is there for its type.
    let holds = match (&row.file_system, &row.code) {
        (Some(kind), _) => kind.clone(),
        (None, Some(code)) => format!("type {code}"),
        (None, None) => String::new(),
    };
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    [number, name, start, len, holds, word(&row.label), word(&row.mount_point), word(&row.uuid)]
        .map(|cell| printable(cell.as_bytes()))
}

fn table(rows: &[[String; 8]]) -> String {
    let head = HEAD.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = width(column) - cell.chars().count();
            // A column without content takes no room.
            if rows.iter().all(|row| row.get(column).is_some_and(String::is_empty)) {
                continue;
            }
            line.push_str(&format!("{cell}{}  ", " ".repeat(pad)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `|ESP |BSP |root                |`: each as wide as it is large, but never too narrow for a
/// part of its name; what has no size yet shares what is left.
fn bar(rows: &[Row], whole: Option<u64>) -> String {
    let known: u64 = rows.iter().filter_map(|row| row.size_bytes).sum();
    let unknown = rows.iter().filter(|row| row.size_bytes.is_none()).count();
    let share = known.max(1) / u64::try_from(unknown.max(1)).unwrap_or(1);
    let size = |row: &Row| row.size_bytes.unwrap_or(share);
    let total = whole.unwrap_or_else(|| rows.iter().map(size).sum()).max(1);
    let room = WIDTH.saturating_sub((LEAST + 1) * rows.len());
    let mut text = "|".to_owned();
    let (mut sum, mut drawn) = (0_u64, 0);
    for row in rows {
        sum = sum.saturating_add(size(row));
        let end =
            u128::from(sum.min(total)) * u128::try_from(room).unwrap_or(0) / u128::from(total);
        let end = usize::try_from(end).unwrap_or(room);
        let width = LEAST + end - drawn;
        drawn = end;
        let name: String = printable(row.name.as_bytes()).chars().take(width).collect();
        text.push_str(&name);
        text.push_str(&" ".repeat(width - name.chars().count()));
        text.push('|');
    }
    text
}

/// A size in the largest unit that tells it in few digits.
fn size(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{} {unit}", bytes / factor);
        }
        // Up to ten of them the next unit is exact more often.
        if bytes >= if unit == "GiB" { 10 * factor } else { factor } {
            return format!("{}.{} {unit}", bytes / factor, bytes % factor * 10 / factor);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1 << 20, "1 MiB"),
            (3 << 29, "1536 MiB"),
            (5_000_000_000, "4768.3 MiB"),
            (25_000_000_000, "23.2 GiB"),
            (1 << 30, "1 GiB"),
            (1536, "1.5 KiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
