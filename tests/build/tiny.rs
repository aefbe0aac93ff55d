//! Images of a few files, as OCI archives.

use std::process::Command;

use anyhow::{Result, ensure};
use goldsmith_tests::TestEnv;

/// Writes an archive for the architecture that is its second argument: of each one after it a layer, `@DIRECTORY` or a JSON object of
/// files with their text, where a number is the size of a file of bytes that do not compress.
const MAKE: &str = r#"
import gzip, hashlib, io, json, random, sys, tarfile
blobs, layers, diffs = {}, [], []
def put(bytes, kind):
    digest = "sha256:" + hashlib.sha256(bytes).hexdigest()
    blobs[digest] = bytes
    return {"mediaType": "application/vnd.oci.image." + kind, "digest": digest, "size": len(bytes)}
for text in sys.argv[3:]:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        if text.startswith("@"):
            def root(info):
                info.uid = info.gid = 0
                return info
            tar.add(text[1:], arcname=".", filter=root)
            text = "{}"
        for name, content in json.loads(text).items():
            bytes = random.Random(name).randbytes(content) if isinstance(content, int) else content.encode()
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(bytes), 0o755, 1600000000
            tar.addfile(info, io.BytesIO(bytes))
    plain = plain.getvalue()
    diffs.append("sha256:" + hashlib.sha256(plain).hexdigest())
    layers.append(put(gzip.compress(plain, 1, mtime=0), "layer.v1.tar+gzip"))
config = put(json.dumps({"architecture": sys.argv[2], "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs}}).encode(), "config.v1+json")
manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers}).encode(), "manifest.v1+json")
with tarfile.open(sys.argv[1], "w") as out:
    def add(name, bytes):
        info = tarfile.TarInfo(name)
        info.size = len(bytes)
        out.addfile(info, io.BytesIO(bytes))
    add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    add("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
    for digest, bytes in blobs.items():
        add("blobs/" + digest.replace(":", "/"), bytes)
"#;

/// Makes `name`.oci for an architecture; returns the file's name.
pub(crate) fn make(env: &TestEnv, name: &str, arch: &str, layers: &[&str]) -> Result<String> {
    let file = format!("{name}.oci");
    let made = Command::new("python3")
        .args(["-c", MAKE, &file, arch])
        .args(layers)
        .current_dir(env.directory.path())
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(file)
}

/// Makes `name`.oci and pushes it; returns the digest.
pub(crate) fn push(env: &TestEnv, name: &str, layers: &[&str], to: &str) -> Result<String> {
    push_all(env, &[&make(env, name, "amd64", layers)?], to)
}

/// Pushes archives, several of them as an index; returns the digest.
pub(crate) fn push_all(env: &TestEnv, files: &[&str], to: &str) -> Result<String> {
    let host = to.split('/').next().unwrap_or_default();
    let pushed = env.run(&[&["push"][..], files, &[to, "--plain-http", host]].concat())?;
    crate::ok(&pushed)?;
    Ok(pushed.stdout.trim().rsplit('@').next().unwrap_or_default().to_owned())
}
