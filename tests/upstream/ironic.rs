//! Disks in a registry, found by Ironic's own code.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{Authority, DockerRegistry, Guard, TestEnv, ran};
use serde_json::Value;

const PROGRAM: &str = include_str!("ironic.py");

/// A registry with TLS, and whoever asks it.
struct Place {
    env: TestEnv,
    authority: Authority,
    registry: DockerRegistry,
}

impl Place {
    fn new() -> Result<Self> {
        let env = TestEnv::new()?;
        let authority = Authority::new(&env.path("authority"))?;
        let tls = Some(authority.give(&["IP:127.0.0.1"])?);
        let guard = Guard { tls, auth: None };
        let registry = DockerRegistry::guarded(env.directory.path(), &guard)?;
        fs_err::write(env.path("ironic.py"), PROGRAM)?;
        Ok(Self { env, authority, registry })
    }

    fn push(&self, words: &[&str]) -> Result<Vec<String>> {
        let mut command = self.env.command("goldsmith")?;
        command.env("GOLDSMITH_REGISTRY_CA", &self.authority.certificate).arg("push").args(words);
        let pushed = ran(&mut command)?;
        ensure!(pushed.status == 0, "{pushed:#?}");
        Ok(pushed.stdout.lines().map(str::to_owned).collect())
    }

    /// Asks Ironic; returns what it found and what it downloaded.
    fn ironic(&self, url: &str, source: &str, arch: &str) -> Result<(Value, Vec<u8>)> {
        let elements = std::env::var("GOLDSMITH_UPSTREAM").context("GOLDSMITH_UPSTREAM")?;
        let packages = Path::new(&elements).join("../../ironic");
        let file = self.env.path("downloaded");
        let output = Command::new("python3")
            .args(["-W", "ignore"])
            .arg(self.env.path("ironic.py"))
            .arg(packages)
            .arg(&self.authority.certificate)
            .args([url, source, arch])
            .arg(&file)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // They would count for more than the authority that is named.
            .env_remove("REQUESTS_CA_BUNDLE")
            .env_remove("CURL_CA_BUNDLE")
            .output()
            .context("python3")?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{url} {source} {arch}: {told}");
        Ok((serde_json::from_slice(&output.stdout)?, fs_err::read(file)?))
    }

    fn skopeo(&self, words: &[&str]) -> Result<Value> {
        let mut command = Command::new("skopeo");
        command.arg("--insecure-policy").args(words).current_dir(self.env.directory.path());
        let output = command.env("HOME", self.env.directory.path()).output().context("skopeo")?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "skopeo {words:?}: {told}");
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }
}

/// The files of two architectures, and what they must be to Ironic: architecture, who
/// downloads, name, format, compression.
const WANTED: [(&str, &str, &str, &str, Option<&str>); 5] = [
    ("x86_64", "local", "a.qcow2", "qcow2", None),
    ("x86_64", "http", "a.raw.zst", "raw", Some("zstd")),
    ("amd64", "http", "a.raw.zst", "raw", Some("zstd")),
    ("aarch64", "local", "b.qcow2", "qcow2", None),
    ("aarch64", "http", "b.raw", "raw", None),
];

pub(crate) fn disks() -> Result<()> {
    let place = Place::new()?;
    let mut content = std::collections::BTreeMap::new();
    for name in ["a.qcow2", "a.raw.zst", "b.qcow2", "b.raw", "a.vmlinuz", "a.initrd"] {
        let bytes = name.repeat(10_000).into_bytes();
        fs_err::write(place.env.path(name), &bytes)?;
        content.insert(name, bytes);
    }
    let name = format!("{}/metal/server:1", place.registry.host);
    let files = ["a.qcow2", "a.raw.zst", "arm64=b.qcow2", "arm64=b.raw", "a.vmlinuz", "a.initrd"];
    let line = [&["--as", "disk", "-a", "amd64"][..], &files, &[name.as_str()]].concat();
    let told = place.push(&line)?;
    let [index, kernel, ramdisk] = told.as_slice() else { anyhow::bail!("{told:?}") };

    let url = format!("oci://{name}");
    for (arch, source, file, format, compression) in WANTED {
        let (found, bytes) = place.ironic(&url, source, arch)?;
        ensure!(found["image_filename"] == file, "{arch} {source}: {found}");
        ensure!(found["image_disk_format"] == format, "{arch} {source}: {found}");
        ensure!(found["image_compression_type"].as_str() == compression, "{arch}: {found}");
        ensure!(bytes == content[file], "{arch} {source}: other bytes");
        let checksum = found["image_checksum"].as_str().unwrap_or_default();
        ensure!(found["verified"] == format!("sha256:{checksum}"), "{found}");
    }
    for (line, what, file) in
        [(kernel, " kernel amd64", "a.vmlinuz"), (ramdisk, " ramdisk amd64", "a.initrd")]
    {
        let reference = line.strip_suffix(what).with_context(|| line.clone())?;
        let (found, bytes) = place.ironic(&format!("oci://{reference}"), "http", "-")?;
        ensure!(found["image_type"] == "artifact", "{found}");
        ensure!(bytes == content[file], "{file}: other bytes");
    }

    // The same by a tool that knows nothing of disks.
    let certificates = place.env.path("certificates");
    fs_err::create_dir(&certificates)?;
    fs_err::copy(&place.authority.certificate, certificates.join("ca.crt"))?;
    let authority = format!("--cert-dir={}", certificates.display());
    let raw = place.skopeo(&["inspect", "--raw", &authority, &format!("docker://{index}")])?;
    let list = raw["manifests"].as_array().context("an index")?;
    let types: Vec<_> = list.iter().map(|one| &one["annotations"]["disktype"]).collect();
    ensure!(types == ["qcow2", "raw", "qcow2", "raw", "kernel", "ramdisk"], "{raw}");
    let arches: Vec<_> = list.iter().map(|one| &one["platform"]["architecture"]).collect();
    ensure!(arches == ["amd64", "amd64", "arm64", "arm64", "amd64", "amd64"], "{raw}");
    for one in list {
        let digest = one["digest"].as_str().unwrap_or_default();
        let repository = name.rsplit_once(':').map_or("", |(repository, _)| repository);
        let manifest = format!("docker://{repository}@{digest}");
        let raw = place.skopeo(&["inspect", "--raw", &authority, &manifest])?;
        ensure!(raw["layers"].as_array().is_some_and(|layers| layers.len() == 1), "{raw}");
        ensure!(raw["config"]["mediaType"] == "application/vnd.oci.empty.v1+json", "{raw}");
    }
    Ok(())
}
