//! A base that is an image which somebody publishes: what it must be is known before it is
//! fetched, and what is not is refused.

use std::path::{Path, PathBuf};

use goldsmith_images::fetch::{FetchError, sum_of};
use goldsmith_images::import::publisher::{self, Publication, PublisherError, Signature};
use goldsmith_images::openpgp::Keyring;
use goldsmith_images::sums::{Algorithm, Sum};
use serde::{Deserialize, Serialize};

use super::form::{FORMS, Form};
use super::{Bootstrap, RELEASES_SECONDS, jobs, now};
use crate::element::base_yaml::Image;
use crate::error::{Failure, Kind, Result};
use crate::phase::cache::Done;
use crate::phase::key::KeyBuilder;
use crate::phase::session::store_failure;
use crate::phase::state::State;
use crate::report::Event;

/// The largest image.
const LIMIT: u64 = 64 << 30;

/// How many bytes lie between two reports of a download.
const STRIDE: u64 = 4 << 20;

/// Why an image is believed to be what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// The user named a file of their own.
    Own,
    /// The element or the user named its checksum.
    Pinned,
    /// Its publisher signed the checksum.
    Signed {
        /// The key's fingerprint.
        key: String,
        /// When, in seconds since the epoch.
        made: i64,
    },
    /// Nobody vouches for it, and the user accepts that.
    Insecure,
}

/// An image that is known by its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its address, or its path.
    pub url: String,
    /// Its checksum.
    pub sum: Sum,
    /// How it is stored.
    pub form: Form,
    /// Why it is believed.
    pub trust: Trust,
}

impl Source {
    /// What it is and why it is believed, in one line.
    pub fn describe(&self) -> String {
        let why = match &self.trust {
            Trust::Own => "your own file".to_owned(),
            Trust::Pinned => "its checksum is given".to_owned(),
            Trust::Signed { key, .. } => format!("signed by {key}"),
            Trust::Insecure => "INSECURE: nobody vouches for it".to_owned(),
        };
        format!("{} ({}, {why})", self.url, self.sum)
    }

    /// When it was signed.
    pub(super) fn made(&self) -> Option<i64> {
        match self.trust {
            Trust::Signed { made, .. } => Some(made),
            _ => None,
        }
    }
}

/// What the store remembers of an address.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    created: u64,
    snapshots: Vec<String>,
    source: Source,
}

impl Bootstrap<'_> {
    /// Finds out which image `image` means today; `element` is the directory of the element
    /// that asks for it.
    ///
    /// # Errors
    ///
    /// When nobody vouches for it, or the publisher cannot be reached.
    pub(super) fn source(&self, image: &Image, element: &Path) -> Result<Source> {
        let name = image.url.rsplit('/').next().unwrap_or_default();
        let form = match image.format.as_deref() {
            Some(word) => Form::parse(word),
            None => Form::of_name(name),
        };
        let form = form.ok_or_else(|| {
            let message = format!("nothing says in which form {} is", image.url);
            Failure::new(Kind::Configuration, message)
                .hint(format!("`format` in base.yaml: one of {FORMS}"))
        })?;
        if !image.url.contains("://") && !image.url.starts_with("file:") {
            let path = self.directory.join(&image.url);
            let sum = sum_of(&path, Algorithm::Sha256)
                .map_err(|error| Failure::wrap(Kind::Usage, "the base image", &error))?;
            let url = path.display().to_string();
            if let Some(given) = given(image)? {
                let found = sum_of(&path, given.algorithm()).ok();
                if found.as_ref() != Some(&given) {
                    let message = format!("{url} is not {given}");
                    return Err(Failure::new(Kind::Verification, message));
                }
            }
            return Ok(Source { url, sum, form, trust: Trust::Own });
        }
        if let Some(sum) = given(image)? {
            return Ok(Source { url: image.url.clone(), sum, form, trust: Trust::Pinned });
        }
        self.published(image, name, form, element)
    }

    fn published(&self, image: &Image, name: &str, form: Form, element: &Path) -> Result<Source> {
        let keyring = match &image.keyring {
            Some(path) => Some(keyring(&element.join(path))?),
            None => None,
        };
        let believed = keyring.as_ref().map(Keyring::fingerprints).unwrap_or_default();
        let text = serde_json::to_string(&(image, &believed, self.insecure)).unwrap_or_default();
        let key = KeyBuilder::new("published-image").part("image", text).finish();
        let store = &self.session.store;
        let stored = store.step(key.as_str()).ok().flatten();
        let stored: Option<Record> = stored.and_then(|value| serde_json::from_value(value).ok());
        if let Some(record) = &stored {
            let young = now().saturating_sub(record.created) < RELEASES_SECONDS;
            if self.images_offline || (young && !self.anew()) {
                return Ok(record.source.clone());
            }
        }
        if self.images_offline {
            let message = format!("{} was never fetched, and nothing may be now", image.url);
            return Err(Failure::new(Kind::Build, message)
                .hint("build once without --offline and DIB_OFFLINE"));
        }
        let source = self.ask(image, name, form, keyring.as_ref())?;
        let before = stored.as_ref().and_then(|record| record.source.made());
        if let (Some(before), Some(made)) = (before, source.made())
            && made < before
        {
            let message = format!(
                "the checksums for {} are older than those that were seen before",
                image.url
            );
            return Err(Failure::new(Kind::Verification, message)
                .hint("the server, or one on the way, answers with an old state: try another")
                .hint("if an older image is wanted, name its checksum by `sha256` in base.yaml"));
        }
        let record = Record { created: now(), snapshots: Vec::new(), source };
        let value = serde_json::to_value(&record)
            .map_err(|error| Failure::wrap(Kind::Internal, "a record", &error))?;
        store.put_step(key.as_str(), &value).map_err(|error| store_failure(&error))?;
        Ok(record.source)
    }

    fn ask(
        &self,
        image: &Image,
        name: &str,
        form: Form,
        keyring: Option<&Keyring>,
    ) -> Result<Source> {
        let signature = match (image.signature.as_deref(), keyring) {
            (Some("inside"), Some(keyring)) => Signature::Around(keyring),
            (Some(address), Some(keyring)) => Signature::Beside(address, keyring),
            _ => Signature::Missing,
        };
        if matches!(signature, Signature::Missing) && !self.insecure {
            let message = format!("nobody vouches for the base image {}", image.url);
            return Err(Failure::new(Kind::Verification, message)
                .hint("name its checksum by `sha256` in base.yaml, or `sums`, `signature` and `keyring`")
                .hint("--insecure-base (GOLDSMITH_INSECURE_BASE=1) takes it as it comes"));
        }
        let Some(sums) = image.sums.as_deref() else {
            // Without checksums only the whole of it tells what it is.
            let (_, sum) = self.fetch(&image.url, None).map_err(|error| fetch_failure(&error))?;
            return Ok(Source { url: image.url.clone(), sum, form, trust: Trust::Insecure });
        };
        let what = Publication { name, sums, signature };
        let time = i64::try_from(now()).unwrap_or(i64::MAX);
        let found = publisher::ask(&self.client, &what, time).map_err(|e| refusal(&e))?;
        let url = format!("{}{}", image.url.strip_suffix(name).unwrap_or_default(), found.name);
        let trust = match found.signed {
            Some((made, key)) => Trust::Signed { key, made },
            None => Trust::Insecure,
        };
        Ok(Source { url, sum: found.sum, form, trust })
    }

    /// Fetches an image, unless it is there.
    fn fetch(
        &self,
        url: &str,
        sum: Option<&Sum>,
    ) -> std::result::Result<(PathBuf, Sum), FetchError> {
        let what = url.rsplit('/').next().unwrap_or_default().to_owned();
        let told = std::cell::Cell::new(0);
        let progress = |done: u64, total: u64| {
            if done != total && done < told.get() + STRIDE {
                return;
            }
            told.set(done);
            self.session.reporter.event(&Event::Transfer { what: what.clone(), done, total });
        };
        self.client.large(url, sum, LIMIT, &self.session.store.downloads(), &progress)
    }

    /// The image's file, fetched unless it is there.
    pub(super) fn image_file(&self, source: &Source) -> Result<PathBuf> {
        if source.trust == Trust::Own {
            return self.own_file(source);
        }
        let lock = self.session.lock.as_ref();
        if let Some(lock) = lock {
            lock.need_image(source, &self.session.store.downloads())?;
        }
        let fetched = self.fetch(&source.url, Some(&source.sum));
        fetched.map(|(path, _)| path).map_err(|error| {
            let lost = lock.and_then(|lock| lock.lost_image(source, &error));
            lost.unwrap_or_else(|| fetch_failure(&error))
        })
    }

    /// A file of the user's; under a lock it must be the one that the lock was made with.
    fn own_file(&self, source: &Source) -> Result<PathBuf> {
        let path = PathBuf::from(&source.url);
        if self.session.lock.is_some() {
            let found = sum_of(&path, source.sum.algorithm())
                .map_err(|error| Failure::wrap(Kind::Lock, "the base image", &error))?;
            if found != source.sum {
                let message = format!("{} is {found}, not {}", source.url, source.sum);
                return Err(Failure::new(Kind::Lock, message)
                    .hint("`goldsmith update base` takes it as it is now"));
            }
        }
        Ok(path)
    }

    /// Unpacks the image into a snapshot.
    pub(super) fn import(&self, name: &str, source: &Source) -> Result<Done> {
        let session = self.session;
        let path = self.image_file(source)?;
        session.check_interrupted()?;
        let pending = session.pending()?;
        let root = pending.upper();
        jobs::run_import(&session.identity, &path, source.form, &root)
            .map_err(|failure| failure.about(&source.url))?;
        let id = session.commit(pending, name, Vec::new(), true)?;
        let state = State { mnt: vec![id], ..State::default() };
        let data = serde_json::json!({ "source": source });
        Ok(Done { state, data, ran: true })
    }
}

/// The checksum that the element names.
fn given(image: &Image) -> Result<Option<Sum>> {
    let sum = match (&image.sha256, &image.sha512) {
        (Some(digits), _) => Sum::new(Algorithm::Sha256, digits),
        (None, Some(digits)) => Sum::new(Algorithm::Sha512, digits),
        (None, None) => return Ok(None),
    };
    sum.map(Some).map_err(|error| Failure::wrap(Kind::Configuration, "base.yaml", &error))
}

fn keyring(path: &Path) -> Result<Keyring> {
    let failed = |error: &dyn std::error::Error| {
        Failure::wrap(Kind::Configuration, "the keyring of the base image", error)
    };
    let bytes = fs_err::read(path).map_err(|error| failed(&error))?;
    Keyring::read(&path.display().to_string(), &bytes).map_err(|error| failed(&error))
}

fn refusal(error: &PublisherError) -> Failure {
    match error {
        PublisherError::Fetch(error) => fetch_failure(error),
        _ => Failure::wrap(Kind::Verification, "the base image", error)
            .hint("if it is an image of your own, name its checksum by `sha256` in base.yaml"),
    }
}

fn fetch_failure(error: &FetchError) -> Failure {
    match error {
        FetchError::Mismatch { .. } => Failure::wrap(Kind::Verification, "the base image", error)
            .hint("the server is being updated, or gave something else"),
        FetchError::Write { .. } => Failure::wrap(Kind::Host, "the cache", error)
            .hint("set GOLDSMITH_CACHE to a directory on a local file system with free space"),
        _ => Failure::wrap(Kind::Build, "the base image", error)
            .hint("DIB_CLOUD_IMAGES names another place, DIB_LOCAL_IMAGE a file"),
    }
}
