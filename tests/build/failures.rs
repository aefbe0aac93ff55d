//! Bad input: a clear message, the right status, nothing half-written.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, TestEnv};

#[test]
fn a_failing_hook_is_named_with_its_status() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let host = HostInvariant::take(env.cache())?;
    env.element(
        "mine/install.d/20-bad",
        "#!/bin/bash\ntouch /was-here\necho telltale >&2\nexit 37\n",
    )?;
    let ran = env.run(&["build", "-n", "-t", "tar", "-o", "f", "small", "mine"])?;
    ensure!(ran.status == 1, "{ran:?}");
    for text in [
        "hook install.d/20-bad of element mine exited with status 37",
        "elements/mine/install.d/20-bad",
        "telltale",
        "goldsmith run --failed",
    ] {
        ensure!(ran.stderr.contains(text), "{text:?} in {ran:?}");
    }
    ensure!(!env.path("f.tar").exists(), "something was written");
    let look = env.run(&["run", "--failed", "--", "ls", "/was-here"])?;
    ensure!(look.stdout == "/was-here\n", "{look:?}");
    let personality =
        env.run_as("disk-image-create", &["-n", "-t", "tar", "-o", "f", "small", "mine"])?;
    ensure!(personality.status == 37, "{personality:?}");
    host.check(env.cache())
}

#[test]
fn outputs_that_cannot_be_written_are_told_first() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    fs_err::write(env.path("victim"), "precious")?;
    std::os::unix::fs::symlink(env.path("victim"), env.path("link.tar"))?;
    let ran = env.run(&["build", "-n", "-t", "tar", "-o", "link", "small"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("symbolic link"), "{ran:?}");
    ensure!(fs_err::read_to_string(env.path("victim"))? == "precious");
    let ran = env.run(&["build", "-n", "-t", "tar", "-o", "no/such/place", "small"])?;
    ensure!(ran.status == 4 && ran.stderr.contains("no/such"), "{ran:?}");
    Ok(())
}

/// Serves `body` once for every request, whatever is asked.
fn serve(body: &'static [u8]) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().take(8).flatten() {
            let mut request = [0; 4096];
            if stream.read(&mut request).is_err() {
                continue;
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_err() {
                continue;
            }
        }
    });
    Ok(port)
}

fn own_cache() -> Result<TestEnv> {
    let env = TestEnv::with_own_cache()?;
    env.element("small/element-provides", "operating-system\n")?;
    env.element("small/base.yaml", "debian:\n  suite: bookworm\n  variant: apt\n")?;
    Ok(env)
}

#[test]
fn a_mirror_that_lies_is_not_believed() -> Result<()> {
    const UNSIGNED: &[u8] =
        b"Origin: Debian\nSuite: oldstable\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n";
    const FORGED: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n-----BEGIN PGP SIGNATURE-----\n\niHUEARYKAB0WIQQ=\n=AAAA\n-----END PGP SIGNATURE-----\n";
    for (body, text) in
        [(UNSIGNED, "no signature"), (FORGED, "signature"), (&b""[..], "no signature")]
    {
        let env = own_cache()?;
        let mirror = format!("http://127.0.0.1:{}/debian", serve(body)?);
        let ran = env.run(&["build", "-n", "-t", "tar", "--mirror", &mirror, "small"])?;
        ensure!(ran.status == 6 && ran.stderr.contains(text), "{text}: {ran:?}");
        ensure!(!env.path("image.tar").exists(), "something was written");
    }
    Ok(())
}

#[test]
fn an_unreachable_mirror_is_named() -> Result<()> {
    let env = own_cache()?;
    let ran =
        env.run(&["build", "-n", "-t", "tar", "--mirror", "file:///no/such/mirror", "small"])?;
    ensure!(ran.status == 1 && ran.stderr.contains("/no/such/mirror"), "{ran:?}");
    ensure!(ran.stderr.contains("--mirror"), "no cure is named: {ran:?}");
    let ran = env.run(&["build", "-n", "-t", "tar", "--offline", "small"])?;
    ensure!(ran.status == 1 && ran.stderr.contains("--offline"), "{ran:?}");
    Ok(())
}
