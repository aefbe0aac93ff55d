//! `opts` of an xfs: what mkfs.xfs(8) would be told, as far as goldsmith's own writer can obey it.

use goldsmith_images::disk::layout::{XfsFeature, XfsOptions};

use super::other_options::is_needless;

/// What is said when an option is refused.
pub(super) const HINT: &str = "taken are -m reflink, bigtime, inobtcount, -i sparse, nrext64, \
    maxpct, -d agcount and what changes nothing";

/// What every xfs of that writer is: an option, and the values that ask for nothing else.
const SO_ANYWAY: [(&str, &[&str]); 5] = [
    ("-b", &["size=4096", "size=4k"]),
    ("-i", &["size=512", "attr=2", "projid32bit=1", "projid32bit"]),
    ("-l", &["internal=1", "internal", "version=2", "lazy-count=1"]),
    ("-m", &["crc=1", "crc", "finobt=1", "finobt", "rmapbt=0", "metadir=0"]),
    ("-n", &["size=4096", "size=4k", "version=2", "ftype=1", "ftype", "parent=0"]),
];

/// What can be on or off, by its option.
const FEATURES: [(&str, XfsFeature); 5] = [
    ("-m", XfsFeature::Reflink),
    ("-m", XfsFeature::Bigtime),
    ("-m", XfsFeature::Inobtcount),
    ("-i", XfsFeature::Sparse),
    ("-i", XfsFeature::Nrext64),
];

/// Takes options of mkfs.xfs(8) into `xfs`; an empty text changes nothing. The error is the first
/// option that cannot be obeyed.
pub(super) fn apply(opts: &str, xfs: &mut XfsOptions) -> Result<(), String> {
    let mut words = opts.split_whitespace();
    while let Some(word) = words.next() {
        if is_needless("xfs", word) {
            continue;
        }
        let (option, attached) = word.split_at_checked(2).unwrap_or((word, ""));
        let known = option == "-d" || SO_ANYWAY.iter().any(|(name, _)| *name == option);
        if !known {
            return Err(word.to_owned());
        }
        let value = if attached.is_empty() { words.next().unwrap_or_default() } else { attached };
        for part in value.split(',') {
            let so_anyway = |row: &(&str, &[&str])| row.0 == option && row.1.contains(&part);
            if !SO_ANYWAY.iter().any(so_anyway) {
                one(option, part, xfs)
                    .ok_or_else(|| format!("{option} {part}").trim_end().to_owned())?;
            }
        }
    }
    Ok(())
}

/// Takes one `name=value`, or a feature's `name`, which stands for 1.
fn one(option: &str, part: &str, xfs: &mut XfsOptions) -> Option<()> {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    match (option, name) {
        ("-d", "agcount") => xfs.groups = Some(value.parse().ok().filter(|groups| *groups > 1)?),
        ("-i", "maxpct") => {
            xfs.inode_percent = Some(value.parse().ok().filter(|percent| *percent <= 100)?);
        }
        _ => {
            let mut rows = FEATURES.iter();
            let (_, feature) = rows.find(|row| row.0 == option && row.1.name() == name)?;
            let on = match value {
                "0" => false,
                "1" => true,
                "" if name == part => true,
                _ => return None,
            };
            xfs.features = xfs.features.with(*feature, on);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use goldsmith_images::disk::layout::XfsFeatures;

    use super::*;

    fn taken(opts: &str) -> Result<XfsOptions, String> {
        let mut xfs = XfsOptions::default();
        apply(opts, &mut xfs).map(|()| xfs)
    }

    #[test]
    fn what_is_asked_for_is_taken() {
        let all = "-f -m crc=1,reflink=1,bigtime,inobtcount=1 -isize=512,sparse=1,nrext64,maxpct=50 \
                   -d agcount=8 -K -n ftype=1";
        let features = XfsFeatures::from(XfsFeature::ALL.to_vec());
        let wanted = XfsOptions { features, groups: Some(8), inode_percent: Some(50) };
        assert_eq!(taken(all), Ok(wanted));
    }

    #[test]
    fn what_is_so_anyway_changes_nothing() {
        for opts in ["", "-f -q", "-m bigtime=0,inobtcount=0,reflink=0 -i sparse=0,nrext64=0"] {
            assert_eq!(taken(opts), Ok(XfsOptions::default()), "{opts}");
        }
    }

    #[test]
    fn others_are_refused_by_name() {
        for (opts, named) in [
            ("-f -i size=1024", "-i size=1024"),
            ("-m crc=1,rmapbt=1", "-m rmapbt=1"),
            ("-m reflink=2", "-m reflink=2"),
            ("-i reflink=1", "-i reflink=1"),
            ("-i maxpct=101", "-i maxpct=101"),
            ("-i maxpct", "-i maxpct"),
            ("-m reflink=", "-m reflink="),
            ("-d agcount", "-d agcount"),
            ("-d agcount=1", "-d agcount=1"),
            ("-d su=64k", "-d su=64k"),
            ("-m", "-m"),
            ("-m crc=1,", "-m"),
            ("-K -s size=4096", "-s"),
        ] {
            assert_eq!(taken(opts), Err(named.to_owned()), "{opts}");
        }
    }
}
