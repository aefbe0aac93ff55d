//! A publisher whose server leads elsewhere: what is signed counts, not who gives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use goldsmith_tests::{Answer, TestEnv, WebServer};

use super::{build, publisher, refused};
use crate::ok;

// I28: an old state that the publisher did sign, behind a redirect.
#[test]
fn i28_a_redirect_brings_no_old_state_back() -> Result<()> {
    let env = TestEnv::new()?;
    let (publisher, _, _) = publisher(&env)?;
    for (name, time) in [("old", "20240201T000000"), ("same", "20240301T000000")] {
        let place = publisher.root.join("noble").join(name);
        fs_err::create_dir_all(&place)?;
        for file in fs_err::read_dir(publisher.root.join("noble/current"))? {
            let file = file?;
            fs_err::copy(file.path(), place.join(file.file_name()))?;
        }
        publisher.sign_beside(&format!("noble/{name}"), time)?;
    }
    let root = publisher.root.clone();
    let (old, same) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (to_old, to_same) = (Arc::clone(&old), Arc::clone(&same));
    let server = WebServer::start(move |asked| {
        let path = asked.path.trim_start_matches('/');
        for (leads, name) in [(&to_old, "old"), (&to_same, "same")] {
            if leads.load(Ordering::Relaxed) && path.contains("/current/SHA256SUMS") {
                let place = path.replace("/current/", &format!("/{name}/"));
                return Answer::new(302, "").with("Location", format!("/{place}"));
            }
        }
        match fs_err::read(root.join(path)) {
            Ok(bytes) => Answer::new(200, bytes),
            Err(_) => Answer::new(404, ""),
        }
    })?;
    let address = server.address();
    let vars = [("DIB_CLOUD_IMAGES", address.as_str())];
    let plan = || build(&env, "plan", &["--refresh", "publisher"], &vars);
    ok(&plan()?)?;
    old.store(true, Ordering::Relaxed);
    refused(&plan()?, "older than those that were seen before")?;
    // The twin: a redirect to what was there before.
    old.store(false, Ordering::Relaxed);
    same.store(true, Ordering::Relaxed);
    ok(&plan()?)?;
    let led = server.asked().iter().filter(|asked| asked.path.contains("/same/")).count();
    anyhow::ensure!(led == 2, "sums and signature were not asked for by redirect: {led}");
    Ok(())
}
