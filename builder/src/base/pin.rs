//! What a base consists of, for a lock.

use std::path::PathBuf;

use goldsmith_images::import::debian::{self, DebianError, Resolution};

use super::{BasePlan, Bootstrap, Download, Origin, archive_failure};
use crate::error::{Failure, Kind, Result};
use crate::lock::document::{Archive, Base, PublishedImage, RegistryImage};

impl Bootstrap<'_> {
    /// What the tools container consists of.
    ///
    /// # Errors
    ///
    /// When the archive cannot be reached.
    pub fn pin_tools(&self, plan: &BasePlan) -> Result<Archive> {
        match self.pin(plan)? {
            Base::Debian(archive) => Ok(archive),
            _ => Err(Failure::new(Kind::Internal, "the tools container is no Debian")),
        }
    }

    /// What the image's base consists of.
    ///
    /// # Errors
    ///
    /// When the archive cannot be reached.
    pub fn pin(&self, plan: &BasePlan) -> Result<Base> {
        Ok(match &plan.origin {
            Origin::Debian { spec, .. } => {
                Base::Debian(Archive::new(spec, &self.resolution(plan)?))
            }
            Origin::Image { asked, source } => {
                Base::Image(PublishedImage { asked: asked.clone(), source: source.clone() })
            }
            Origin::Oci(image) => Base::Oci(image.pin()?),
            Origin::File(base) => Base::Oci(base.image().pin()?),
            Origin::Finished(_) => {
                return Err(Failure::new(Kind::Internal, "a finished tree in a lock"));
            }
        })
    }

    /// Sees to it that the store has what a pinned base is made from, also when the base
    /// itself came from the cache.
    ///
    /// # Errors
    ///
    /// When something cannot be had.
    pub fn store_sources(&self, plan: &BasePlan) -> Result<()> {
        match &plan.origin {
            Origin::Debian { .. } => {
                self.download(&plan.recipe.name, &self.resolution(plan)?).map(drop)
            }
            Origin::Image { source, .. } => self.image_file(source).map(drop),
            Origin::Oci(image) => self.take(image).map(drop),
            Origin::File(base) => self.take(base.image()).map(drop),
            Origin::Finished(_) => Ok(()),
        }
    }

    /// Chooses the packages of an archive, unless a lock did.
    pub(super) fn resolution(&self, plan: &BasePlan) -> Result<Resolution> {
        let Origin::Debian { spec, releases, packages } = &plan.origin else {
            return Err(Failure::new(Kind::Internal, "a base without an archive"));
        };
        let releases = releases.clone();
        if let Some(packages) = packages {
            return Ok(Resolution { releases, packages: packages.clone() });
        }
        let downloads = self.session.store.downloads();
        debian::resolve(spec, releases, &self.client, &downloads)
            .map_err(|error| archive_failure(&error))
    }

    /// Fetches packages, unless they are there.
    pub(super) fn download(&self, name: &str, found: &Resolution) -> Result<Vec<PathBuf>> {
        let downloads = self.session.store.downloads();
        if let Some(lock) = &self.session.lock {
            lock.need(&found.packages, &downloads)?;
        }
        let what = format!("{name} packages");
        let progress = Download { reporter: &self.session.reporter, what };
        let failed = |error: DebianError| {
            let lock = self.session.lock.as_ref();
            let lost = lock.and_then(|lock| lock.lost_package(&found.packages, &error));
            lost.unwrap_or_else(|| archive_failure(&error))
        };
        debian::download(found, &self.client, &downloads, &progress).map_err(failed)
    }
}

impl super::oci::OciBase {
    fn pin(&self) -> Result<RegistryImage> {
        let digest = self.reference.digest.ok_or_else(|| {
            Failure::new(Kind::Internal, "an image whose digest nobody asked for")
        })?;
        Ok(RegistryImage { reference: self.asked.clone(), digest })
    }
}
