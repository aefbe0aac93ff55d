//! Parts of a hundred.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Parts of one.
const ONE: u32 = 10_000;

/// A part of a hundred, with at most four decimals: `5`, `0.5`. At most 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// So many hundredths, at most 100.
    pub const fn whole(hundredths: u8) -> Self {
        Self(if hundredths < 100 { hundredths as u32 } else { 100 } * ONE)
    }

    /// That part of `all`, rounded down.
    pub fn of(self, all: u64) -> u64 {
        let part = u128::from(all) * u128::from(self.0) / (100 * u128::from(ONE));
        u64::try_from(part).unwrap_or(all)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:04}", self.0 / ONE, self.0 % ONE);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no part of a hundred");
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + part.len() == 0 || part.len() > 4 || !digits(whole) || !digits(part) {
            return Err(wrong());
        }
        let whole: u32 = format!("0{whole}").parse().map_err(|_number| wrong())?;
        let part: u32 = format!("{part:0<4}").parse().map_err(|_number| wrong())?;
        let all = whole.checked_mul(ONE).and_then(|all| all.checked_add(part));
        all.filter(|all| *all <= 100 * ONE).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(ONE) {
            serializer.serialize_u32(self.0 / ONE)
        } else {
            serializer.serialize_f64(f64::from(self.0) / f64::from(ONE))
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        number.to_string().parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_and_shown() {
        for (text, shown, of_blocks) in [
            ("5", "5", 13_107),
            ("0.5", "0.5", 1310),
            (".25", "0.25", 655),
            ("0", "0", 0),
            ("0.0001", "0.0001", 0),
            ("1.0001", "1.0001", 2621),
            ("100", "100", 262_144),
        ] {
            let percent: Percent = text.parse().unwrap();
            assert_eq!((percent.to_string().as_str(), percent.of(262_144)), (shown, of_blocks));
            let json = serde_json::to_string(&percent).unwrap();
            assert_eq!(json, shown);
            assert_eq!(serde_json::from_str::<Percent>(&json).unwrap(), percent);
        }
        assert_eq!(Percent::whole(5).of(u64::MAX), 922_337_203_685_477_580);
        assert_eq!(Percent::whole(5), "5".parse().unwrap());
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", ".", "-1", "+5", "1e1", "0.00001", "100.5", "99999999999", "5%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }
}
