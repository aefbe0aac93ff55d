//! Disks of a configuration, and their partition tables.

use super::config::{Disk, PartitionNode, TableNode};
use super::graph::{self, Entry};
use super::size::Size;
use super::wrong::{Checked, Wrong};
use super::yaml::{Node, Value};

/// Alignment of partitions on an MBR.
const ALIGN: u64 = 1 << 20;

/// `forced` is `DIB_BLOCK_SIZE`.
pub(super) fn disks(list: &[Entry], forced: Option<&str>) -> Checked<Vec<Disk>> {
    let mut disks = Vec::new();
    for entry in list.iter().filter(|entry| entry.plugin == "local_loop") {
        disks.push(disk(entry, forced)?);
    }
    for entry in list.iter().filter(|entry| entry.plugin == "partitioning") {
        let base = entry.base()?;
        let disk = disks.iter_mut().find(|disk| disk.name == base);
        // That there is none is said with all other edges.
        let Some(disk) = disk else { continue };
        if disk.table.is_some() {
            return Err(entry.wrong(format!("{base} has a partition table already")));
        }
        disk.table = Some(table(entry)?);
    }
    Ok(disks)
}

fn disk(entry: &Entry, forced: Option<&str>) -> Checked<Disk> {
    let size = entry.word("size")?.map(|(word, line)| absolute(entry, "size", &word, line));
    let (whose, own) = match (forced.filter(|size| !size.is_empty()), entry.word("block_size")?) {
        (Some(forced), _) => ("DIB_BLOCK_SIZE", Some((forced.to_owned(), 0))),
        (None, own) => (entry.name.as_str(), own),
    };
    let sector = match own.as_ref().map(|(size, _)| size.as_str()) {
        None | Some("512") => 512,
        Some("4096") => 4096,
        Some(other) => {
            let line = own.as_ref().map_or(0, |(_, line)| *line);
            return Err(Wrong::new(line, whose, format!("sectors of {other} bytes"))
                .hint("there are 512 and 4096"));
        }
    };
    Ok(Disk {
        name: entry.name.clone(),
        line: entry.line,
        size: size.transpose()?,
        directory: entry.word("directory")?.map(|(word, _)| word),
        sector,
        table: None,
    })
}

fn absolute(entry: &Entry, key: &str, word: &str, line: u64) -> Checked<u64> {
    let wrong = |what: String| Wrong::new(line, &entry.name, format!("{key}: {what}"));
    match Size::parse(word).map_err(wrong)? {
        Size::Bytes(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(wrong(format!("{word} is no size of its own"))),
    }
}

fn table(entry: &Entry) -> Checked<TableNode> {
    let gpt = match entry.word("label")? {
        Some((label, _)) if label == "gpt" => true,
        Some((label, _)) if label == "mbr" => false,
        Some((label, line)) => {
            let what = format!("label must be gpt or mbr, not {label}");
            return Err(Wrong::new(line, &entry.name, what));
        }
        None => return Err(entry.wrong("label is missing: it must be gpt or mbr")),
    };
    let align = match entry.word("align")? {
        Some((word, line)) => {
            let align = absolute(entry, "align", &word, line)?;
            if !align.is_multiple_of(512) {
                let what = format!("align: {word} is no multiple of a sector");
                return Err(Wrong::new(line, &entry.name, what));
            }
            align
        }
        None => ALIGN,
    };
    let Some(list) = entry.get("partitions") else {
        return Err(entry.wrong("partitions are missing"));
    };
    let Value::List(list) = &list.value else {
        return Err(Wrong::new(list.line, &entry.name, "partitions are not a list"));
    };
    let mut partitions = Vec::new();
    for part in list {
        partitions.push(partition(part, entry, gpt, &partitions)?);
    }
    Ok(TableNode { line: entry.line, name: entry.name.clone(), gpt, align, partitions })
}

fn partition(
    part: &Node,
    table: &Entry,
    gpt: bool,
    before: &[PartitionNode],
) -> Checked<PartitionNode> {
    let Value::Map(values) = &part.value else {
        return Err(Wrong::new(part.line, &table.name, "a partition is no map"));
    };
    let (name, _) = graph::word(values, &table.name, "name")?
        .ok_or_else(|| Wrong::new(part.line, &table.name, "a partition has no name"))?;
    let wrong = |line: u64, what: String| Wrong::new(line, format!("partition {name}"), what);
    let (wanted, line) = graph::word(values, &name, "size")?
        .ok_or_else(|| wrong(part.line, "it has no size".to_owned()))?;
    let size = Size::parse(&wanted).map_err(|what| wrong(line, what))?;
    let (mut boot, mut primary) = (false, false);
    for flag in graph::list(values, &name, "flags")? {
        match flag.value.word() {
            Some("boot") => boot = true,
            Some("primary") if gpt => {
                return Err(wrong(flag.line, "a gpt knows no primary partitions".to_owned()));
            }
            Some("primary") => primary = true,
            other => {
                let what = format!("the flag {} is not known", other.unwrap_or("that is no word"));
                return Err(wrong(flag.line, what).hint("there are boot and primary"));
            }
        }
    }
    let logical = !gpt && !primary;
    let logicals = before.iter().filter(|other| other.logical).count();
    if !gpt && primary && logicals > 0 {
        let what = "primary partitions must be given before logical ones".to_owned();
        return Err(wrong(part.line, what));
    }
    if before.len() - logicals >= if gpt { 128 } else { 4 } {
        let what = match (gpt, logical) {
            (true, _) => "a gpt has room for 128 partitions",
            (false, true) => "logical partitions need one of the four primary places",
            (false, false) => "an mbr has room for four primary partitions",
        };
        let wrong = wrong(part.line, what.to_owned());
        return Err(if gpt { wrong } else { wrong.hint("label: gpt has no such limit") });
    }
    let number = if logical { 5 + logicals } else { before.len() + 1 };
    let kind = graph::word(values, &name, "type")?;
    Ok(PartitionNode {
        line: part.line,
        number: u32::try_from(number).unwrap_or(u32::MAX),
        size,
        wanted,
        kind: kind.map(|(kind, _)| kind),
        boot,
        logical,
        name,
    })
}
