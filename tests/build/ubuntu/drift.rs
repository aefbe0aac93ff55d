//! Packages of a locked base that the cache has lost and the archive no longer has, or otherwise.

use anyhow::{Context as _, Result, ensure};
use goldsmith_images::digest::Digest;
use goldsmith_tests::{Ran, TestEnv, ran};

use super::{Archive, BASE};
use crate::published::serve;
use crate::{member, ok};

/// Runs a verb for the base.
fn goldsmith(env: &TestEnv, address: &str, words: &[&str], output: &str) -> Result<Ran> {
    let mut command = env.command("goldsmith")?;
    let line = ["-n", "-t", "tar", "-o", output, "like-ubuntu"];
    command
        .env("ARCHIVE", format!("{address}/"))
        .env("DIB_APT_KEYRING", env.path("elements/publisher/keys.asc"));
    ran(command.args(words).args(line))
}

/// The variant `important` with a package left out; then under a lock a package of it that is lost.
#[test]
fn a_lost_package_of_a_locked_base_is_drift() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("like-ubuntu/element-provides", "operating-system\n")?;
    env.element("like-ubuntu/environment.d/10-x.bash", "export DISTRO_NAME=ubuntu\n")?;
    let important = "variant: important\n  exclude: [unwanted]";
    env.element("like-ubuntu/base.yaml", &BASE.replace("variant: minbase", important))?;
    let archive = Archive::new(&env)?;
    let (address, _) = serve(archive.publisher.root.clone())?;
    ok(&goldsmith(&env, &address, &["lock"], "a")?)?;
    let status = member(&env.path("a.tar"), "./var/lib/dpkg/status")?;
    let has = |name: &str| status.contains(&format!("Package: {name}\n"));
    ensure!(has("weighty") && has("promoted") && !has("unwanted"), "{status}");

    // Makes the base anew, without the package's file in the cache.
    let file = archive.publisher.root.join("pool/main/weighty_1.deb");
    let bytes = fs_err::read(&file)?;
    let digest = Digest::of(&bytes);
    let anew = |more: &[&str]| -> Result<Ran> {
        let plan = goldsmith(&env, &address, &["plan", "--json"], "b")?;
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout)?;
        let mut steps = plan["steps"].as_array().into_iter().flatten();
        let base = steps.find(|step| step["step"] == "base").context("no base")?;
        let key = base["key"].as_str().context("no key")?;
        let stored = env.cache().join(format!("downloads/{}.deb", digest.hex()));
        for gone in [env.cache().join(format!("steps/{key}.json")), stored] {
            if gone.exists() {
                fs_err::remove_file(gone)?;
            }
        }
        goldsmith(&env, &address, &[&["build"], more].concat(), "b")
    };
    let mut other = bytes.clone();
    let last = other.len() - 1;
    other[last] ^= 1;
    let gone = "is gone: the server answers 404".to_owned();
    let changed = format!("has changed: the digest is {}", Digest::of(&other));
    for (upstream, how) in [(None, gone), (Some(&other), changed)] {
        fs_err::remove_file(&file)?;
        if let Some(bytes) = upstream {
            fs_err::write(&file, bytes)?;
        }
        for more in [&["--locked"][..], &[]] {
            let lost = anew(more)?;
            let said = format!("{address}/pool/main/weighty_1.deb ({digest}) {how}");
            ensure!(lost.status == 5 && lost.stderr.contains(&said), "{said}: {lost:#?}");
            ensure!(lost.stderr.contains("`goldsmith update base`"), "{lost:#?}");
        }
        fs_err::write(&file, &bytes)?;
    }
    ok(&anew(&["--locked"])?)?;
    let [one, two] = ["a.tar", "b.tar"].map(|name| fs_err::read(env.path(name)));
    ensure!(one? == two?, "another image");
    Ok(())
}
