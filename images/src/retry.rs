//! When what may have failed by chance is tried again: pauses that grow, not the same for all who
//! wait for one server, and what that server asks for.

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// The longest pause that a server may ask for.
const LONGEST: Duration = Duration::from_secs(120);
/// A pause is longer or shorter by chance, by up to this part of it.
const SPREAD: u32 = 4;

/// Pauses between tries, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule(&'static [u64]);

/// For files.
pub(crate) const FILES: Schedule = Schedule(&[500, 2_000, 5_000]);
/// For registries, which limit how often one may ask.
pub(crate) const REGISTRIES: Schedule = Schedule(&[500, 2_000, 5_000, 15_000]);

impl Schedule {
    /// How long to wait after so many tries have `failed`, from 1 on; nothing when there have been
    /// enough. The server's wish (`asked`) counts, up to two minutes; `chance` is any number.
    pub(crate) fn pause(
        self,
        failed: usize,
        asked: Option<Duration>,
        chance: u16,
    ) -> Option<Duration> {
        let middle = Duration::from_millis(*self.0.get(failed.checked_sub(1)?)?);
        if let Some(asked) = asked {
            return Some(asked.min(LONGEST));
        }
        // From three quarters of it to five.
        let half = middle / SPREAD;
        Some(middle - half + half * 2 * u32::from(chance) / u32::from(u16::MAX))
    }
}

/// The tries of one request.
#[derive(Debug)]
pub(crate) struct Tries {
    schedule: Schedule,
    failed: usize,
}

impl Tries {
    /// None has failed so far.
    pub(crate) fn new(schedule: Schedule) -> Self {
        Self { schedule, failed: 0 }
    }

    /// Counts one that failed; how long to wait for the next one, if there is to be one.
    pub(crate) fn fail(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        let random = std::hash::RandomState::new().build_hasher().finish().to_le_bytes();
        self.schedule.pause(self.failed, asked, u16::from_le_bytes([random[0], random[1]]))
    }

    /// Forgets those that failed.
    pub(crate) fn restart(&mut self) {
        self.failed = 0;
    }
}

/// Waits; tests have no time for it.
pub(crate) fn wait(pause: Duration) {
    std::thread::sleep(if cfg!(test) { pause.min(Duration::from_millis(1)) } else { pause });
}

/// What a server's `Retry-After` asks for: seconds, or a time (RFC 9110, 10.2.3). One that has
/// passed asks for nothing.
pub(crate) fn asked(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(header).ok()?;
    (until.to_utc() - now).to_std().ok()
}

/// The same of an answer.
pub(crate) fn asked_by(answer: &reqwest::blocking::Response) -> Option<Duration> {
    asked(answer.headers().get("Retry-After")?.to_str().ok()?, Utc::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANCES: [u16; 5] = [0, 1, 30_000, 40_000, u16::MAX];

    #[test]
    fn pauses_grow_whatever_the_chance_and_end() {
        for (schedule, middles) in
            [(FILES, &[500u64, 2_000, 5_000][..]), (REGISTRIES, &[500, 2_000, 5_000, 15_000])]
        {
            let mut longest = Duration::ZERO;
            for (at, middle) in middles.iter().enumerate() {
                let all = CHANCES.map(|chance| schedule.pause(at + 1, None, chance).unwrap());
                assert!(all.is_sorted() && all[0] < all[4], "{all:?}");
                assert_eq!(all[0], Duration::from_millis(middle - middle / 4));
                assert_eq!(all[4], Duration::from_millis(middle + middle / 4));
                // The shortest is longer than the longest before.
                assert!(all[0] > longest, "{all:?}");
                longest = all[4];
            }
            for failed in [0, middles.len() + 1, usize::MAX] {
                assert_eq!(schedule.pause(failed, None, 0), None, "{failed}");
                // Nor does the server's wish make one more.
                assert_eq!(schedule.pause(failed, Some(Duration::ZERO), 0), None, "{failed}");
            }
        }
    }

    #[test]
    fn the_servers_wish_counts_up_to_a_limit() {
        for (wish, pause) in [(0, 0), (1, 1), (119, 119), (120, 120), (121, 120), (u64::MAX, 120)] {
            for chance in CHANCES {
                let wish = Some(Duration::from_secs(wish));
                let found = REGISTRIES.pause(1, wish, chance);
                assert_eq!(found, Some(Duration::from_secs(pause)), "{wish:?}");
            }
        }
    }

    #[test]
    fn a_wish_is_seconds_or_a_time() {
        let now = DateTime::parse_from_rfc3339("2026-01-02T03:04:05Z").unwrap().to_utc();
        for (header, seconds) in [
            ("0", Some(0)),
            (" 30 ", Some(30)),
            ("18446744073709551615", Some(u64::MAX)),
            ("Fri, 02 Jan 2026 03:04:35 GMT", Some(30)),
            ("Fri, 02 Jan 2026 03:04:05 GMT", Some(0)),
            ("Fri, 02 Jan 2026 03:04:04 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("18446744073709551616", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(asked(header, now), seconds.map(Duration::from_secs), "{header:?}");
        }
    }

    #[test]
    fn tries_are_counted() {
        let mut tries = Tries::new(FILES);
        for _ in 0..2 {
            let pauses: Vec<_> = std::iter::from_fn(|| tries.fail(None)).take(9).collect();
            assert!(pauses.len() == 3 && pauses.is_sorted(), "{pauses:?}");
            tries.restart();
        }
        let wish = Some(Duration::from_secs(7));
        assert_eq!(tries.fail(wish), wish);
    }
}
