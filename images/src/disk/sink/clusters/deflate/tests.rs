use flate2::{Decompress, FlushDecompress, Status};

use super::*;
use crate::disk::test_support::noise;

const CLUSTER: usize = 1 << 16;
/// What may change is the result: no cluster of these tests may be refused.
const ANY: usize = usize::MAX;

/// Inflates with a window of 4 KiB, a few bytes at a time so that the window alone holds what
/// was written before.
fn inflated(packed: &[u8], len: usize) -> Vec<u8> {
    let mut inflate = Decompress::new_with_window_bits(false, 12);
    let (mut out, mut piece) = (Vec::new(), [0; 700]);
    loop {
        let (read, written) = (inflate.total_in(), inflate.total_out());
        let rest = &packed[usize::try_from(read).unwrap()..];
        let status = inflate.decompress(rest, &mut piece, FlushDecompress::None).unwrap();
        let now = usize::try_from(inflate.total_out() - written).unwrap();
        out.extend_from_slice(&piece[..now]);
        if status == Status::StreamEnd {
            break;
        }
        assert!(now > 0, "stuck after {} of {len} bytes", out.len());
    }
    assert_eq!(inflate.total_in(), packed.len() as u64, "something follows the stream");
    out
}

/// Packs at a level, or finds that no more is saved than stored blocks cost; the length.
fn packed(deflate: &mut Deflate, cluster: &[u8], what: &str) -> usize {
    let most = cluster.len() + 1024;
    let Some(packed) = deflate.pack(cluster, ANY) else {
        assert!(cluster.len() + 100 > bits::ROOM, "{what}: refused");
        return most;
    };
    assert!(packed.len() < most, "{what}: {} bytes", packed.len());
    let back = deflate.tokens.sequences().iter().map(|s| u32::from(s.back)).max();
    assert!(back.unwrap_or(1) <= matches::WINDOW, "{what}: {back:?}");
    assert!(inflated(&packed, cluster.len()) == cluster, "{what}: other bytes");
    packed.len()
}

/// Numbers that depend on the seed alone.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

fn text(len: usize) -> Vec<u8> {
    let words = ["golden ", "disk ", "image ", "of ", "a ", "cluster\n", "without ", "root, "];
    let mut dice = Dice(3);
    let mut out = Vec::new();
    while out.len() < len {
        out.extend_from_slice(words[dice.below(words.len())].as_bytes());
    }
    out.truncate(len);
    out
}

/// Each byte as often as a Fibonacci number says: the deepest trees there are.
fn fibonacci() -> Vec<u8> {
    let (mut out, mut one, mut next) = (Vec::new(), 1, 1);
    for byte in 0.. {
        if out.len() + one > CLUSTER {
            break;
        }
        out.extend(std::iter::repeat_n(byte, one));
        (one, next) = (next, one + next);
    }
    // In no order, so that there are no matches to speak of.
    let mut dice = Dice(11);
    for at in (1..out.len()).rev() {
        out.swap(at, dice.below(at + 1));
    }
    out
}

/// What wants to break an encoder.
fn hard_ones() -> Vec<(&'static str, Vec<u8>)> {
    let random = noise(CLUSTER);
    let period = |n: usize| random[..n].iter().copied().cycle().take(CLUSTER).collect();
    let cut = |at: usize| [&random[..at], &text(CLUSTER - at)].concat();
    let mut distant = random.clone();
    distant[4096..4196].copy_from_slice(&random[..100]);
    distant[8293..8393].copy_from_slice(&random[4196..4296]);
    vec![
        ("zero", vec![0; CLUSTER]),
        ("all the same", vec![0xa5; CLUSTER]),
        ("one other", [&[1][..], &vec![0; CLUSTER - 1]].concat()),
        ("one other, last", [&vec![0; CLUSTER - 1][..], &[1]].concat()),
        ("text", text(CLUSTER)),
        ("noise", random.clone()),
        ("four symbols", random.iter().map(|b| b & 3).collect()),
        ("two symbols", random.iter().map(|b| b & 1).collect()),
        ("every byte", (0..=255).cycle().take(CLUSTER).collect()),
        ("fibonacci", fibonacci()),
        ("period of 3", period(3)),
        ("period of 258", period(258)),
        ("period of 259", period(259)),
        ("period of 4095", period(4095)),
        ("period of 4096", period(4096)),
        ("period of 4097", period(4097)),
        ("4096 and 4097 back", distant),
        ("noise, then text", cut(30_000)),
        ("noise, then little text", cut(65_000)),
        ("text, then noise", [&text(30_000), &random[30_000..]].concat()),
        ("stored in the middle", [&text(20_000), &random[..25_000], &text(20_536)].concat()),
    ]
}

#[test]
fn every_level_survives_what_is_hard() {
    for level in 0..=10 {
        let mut deflate = Deflate::new(level);
        for (name, cluster) in hard_ones() {
            packed(&mut deflate, &cluster, &format!("level {level}, {name}"));
        }
    }
}

#[test]
fn every_length_has_an_end() {
    let long = [text(600), noise(700), vec![7; 900]].concat();
    for level in [1, 6, 9] {
        let mut deflate = Deflate::new(level);
        let edges = [CLUSTER - 260, CLUSTER - 5, CLUSTER - 1];
        for len in (0..20).chain((20..2200).step_by(61)).chain(edges) {
            let cluster: Vec<u8> = long.iter().copied().cycle().take(len).collect();
            packed(&mut deflate, &cluster, &format!("level {level}, {len} bytes"));
        }
    }
    assert_eq!(Deflate::new(6).pack(&vec![0; CLUSTER + 1], ANY), None);
}

/// Clusters put together at random from noise, runs, copies of what was before and few symbols.
#[test]
fn what_is_put_together_at_random_comes_back() {
    for seed in 1..=60 {
        let mut dice = Dice(seed);
        let random = noise(CLUSTER);
        let mut cluster = Vec::new();
        while cluster.len() < CLUSTER {
            let bits = 1 + dice.below(13);
            let len = 1 + dice.below(1 << bits);
            let from = dice.below(CLUSTER - len);
            match dice.below(5) {
                0 => cluster.extend_from_slice(&random[from..from + len]),
                1 => cluster.extend(std::iter::repeat_n(random[from], len)),
                2 => cluster.extend(random[from..from + len].iter().map(|b| b & 7)),
                _ if cluster.is_empty() => {}
                _ => {
                    let back = 1 + dice.below(cluster.len().min(5000));
                    (0..len).for_each(|_| cluster.push(cluster[cluster.len() - back]));
                }
            }
        }
        cluster.truncate(CLUSTER);
        let level = u32::try_from(seed % 9 + 1).unwrap();
        packed(&mut Deflate::new(level), &cluster, &format!("seed {seed}, level {level}"));
    }
}

#[test]
fn what_is_before_a_cluster_changes_nothing() {
    let mut used = Deflate::new(6);
    for (name, cluster) in hard_ones() {
        used.pack(&noise(50_000), ANY);
        assert_eq!(used.pack(&cluster, ANY), Deflate::new(6).pack(&cluster, ANY), "{name}");
    }
}

#[test]
fn more_than_wanted_is_not_made() {
    let mut deflate = Deflate::new(6);
    let cluster = text(CLUSTER);
    let len = deflate.pack(&cluster, ANY).unwrap().len();
    assert_eq!(deflate.pack(&cluster, len).map(|packed| packed.len()), Some(len));
    assert_eq!(deflate.pack(&cluster, len - 1), None);
    assert_eq!(deflate.pack(&noise(CLUSTER), CLUSTER - 512), None);
}

/// The library that other formats are packed by, with the same window: on this crate's sources.
#[test]
fn sources_become_smaller_than_by_the_library() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            sources.extend(fs_err::read(entry.path()).unwrap());
        }
    }
    for level in [1, 6, 9] {
        let (mut ours, mut theirs) = (0, 0);
        let mut deflate = Deflate::new(level);
        let library = flate2::Compression::new(level);
        let mut library = flate2::Compress::new_with_window_bits(library, false, 12);
        for cluster in sources.chunks_exact(CLUSTER) {
            ours += packed(&mut deflate, cluster, "sources");
            library.reset();
            let mut out = vec![0; 2 * CLUSTER];
            library.compress(cluster, &mut out, flate2::FlushCompress::Finish).unwrap();
            theirs += usize::try_from(library.total_out()).unwrap();
        }
        assert!(ours < theirs, "level {level}: {ours} against {theirs} bytes");
    }
}

#[test]
fn levels_are_ever_smaller() {
    let cluster =
        [text(30_000), noise(3000).repeat(8), (0..99).cycle().take(11_536).collect()].concat();
    let sizes: Vec<usize> =
        (1..=9).map(|level| packed(&mut Deflate::new(level), &cluster, "mixed")).collect();
    assert!(sizes.is_sorted_by(|one, next| one >= next), "{sizes:?}");
}
