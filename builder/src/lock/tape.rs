//! What servers answered: written down while a lock is made, given again under it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use goldsmith_images::digest::{Digest, Digesting};
use goldsmith_images::exchange::{Answers, Incoming, Reply, Request, Upstream};

use super::document::Fetch;

/// How much of a body is read and written at once.
const CHUNK: usize = 128 << 10;

/// What is done about requests that the lock does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They are passed on, and their answers written down.
    Record,
    /// They are passed on, and told.
    Pass,
    /// They are refused.
    Refuse,
}

/// What tells requests apart: method, address, digest of the body.
type Id = (String, String, Option<Digest>);

/// The answers of a build.
#[derive(Debug)]
pub struct Tape {
    /// Where bodies lie, by digest.
    bodies: PathBuf,
    upstream: Upstream,
    unknown: Unknown,
    /// Whether a body that is gone may be fetched again.
    refetch: bool,
    held: BTreeMap<Id, Fetch>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    answers: BTreeMap<Id, Fetch>,
    drifts: BTreeSet<String>,
    passed: BTreeSet<String>,
}

impl Tape {
    /// A tape with these answers.
    pub(super) fn new<'a>(
        bodies: PathBuf,
        upstream: Upstream,
        unknown: Unknown,
        refetch: bool,
        held: impl Iterator<Item = &'a Fetch>,
    ) -> Self {
        let held = held.map(|one| (id_of(one), one.clone())).collect();
        Self { bodies, upstream, unknown, refetch, held, heard: Mutex::default() }
    }

    /// Every answer that was given in this build.
    pub(super) fn answers(&self) -> Vec<Fetch> {
        self.heard().answers.values().cloned().collect()
    }

    /// What was refused since this was asked last.
    pub(super) fn take_drifts(&self) -> Vec<String> {
        std::mem::take(&mut self.heard().drifts).into_iter().collect()
    }

    /// The addresses that were passed on unrecorded since this was asked last.
    pub(super) fn take_passed(&self) -> Vec<String> {
        std::mem::take(&mut self.heard().passed).into_iter().collect()
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn drift(&self, reply: &mut Reply<'_>, why: String) -> io::Result<()> {
        let done = reply.refuse(504, &why);
        self.heard().drifts.insert(why);
        done
    }

    /// Gives an answer again.
    fn play(&self, fetch: &Fetch, request: &Request, reply: &mut Reply<'_>) -> io::Result<()> {
        let body = body_path(&self.bodies, &fetch.digest);
        if !is_there(&body, fetch)
            && let Err(why) = self.again(fetch, request)
        {
            return self.drift(reply, why);
        }
        goldsmith_images::store::touch(&body);
        let headers: Vec<_> =
            fetch.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // What HEAD is answered has the length of a body that does not come.
        let told = (!fetch.headers.contains_key("content-length")).then_some(fetch.size);
        reply.head(fetch.status, &headers, told)?;
        if fetch.size > 0 {
            let mut file = fs_err::File::open(body)?;
            let mut chunk = vec![0; CHUNK];
            loop {
                match file.read(&mut chunk)? {
                    0 => break,
                    count => reply.piece(&chunk[..count])?,
                }
            }
        }
        reply.end()
    }

    /// Fetches a body that is gone; it counts only if it is the recorded one.
    fn again(&self, fetch: &Fetch, request: &Request) -> Result<(), String> {
        let url = &fetch.url;
        if !self.refetch {
            return Err(format!("{url} ({}) is not in the cache", fetch.digest));
        }
        let gone = |why: String| format!("{url} ({}) cannot be had again: {why}", fetch.digest);
        let mut incoming = self.upstream.send(request).map_err(|error| gone(error.to_string()))?;
        let kept =
            self.keep(&mut incoming, &mut |_| ()).map_err(|error| gone(error.to_string()))?;
        if kept.0 != fetch.digest {
            return Err(format!("{url} is {} upstream, not {}", kept.0, fetch.digest));
        }
        Ok(())
    }

    /// Keeps a body, each piece of which is shown to `pass` as it comes.
    fn keep(
        &self,
        incoming: &mut Incoming,
        pass: &mut dyn FnMut(&[u8]),
    ) -> io::Result<(Digest, u64)> {
        let mut writer = Digesting::new(tempfile::NamedTempFile::new_in(&self.bodies)?);
        let mut chunk = vec![0; CHUNK];
        loop {
            match incoming.body.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    writer.write_all(&chunk[..count])?;
                    pass(&chunk[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let size = writer.passed();
        let (aside, digest) = writer.finish();
        aside.persist(body_path(&self.bodies, &digest)).map_err(|error| error.error)?;
        Ok((digest, size))
    }

    /// Passes a request on.
    fn live(&self, id: Id, request: &Request, reply: &mut Reply<'_>) -> io::Result<()> {
        let mut incoming = match self.upstream.send(request) {
            Ok(incoming) => incoming,
            Err(error) => {
                let why = format!("goldsmith: {}", crate::base::jobs::chain(&error));
                self.note_failure(id, request, &why)?;
                return reply.refuse(502, &why);
            }
        };
        let mut headers: BTreeMap<_, _> = incoming.headers.iter().cloned().collect();
        if request.method == "HEAD"
            && let Some(length) = incoming.length
        {
            headers.insert("content-length".to_owned(), length.to_string());
        }
        let lines: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let told = if request.method == "HEAD" { None } else { incoming.length };
        let mut gone = reply.head(incoming.status, &lines, told).err();
        let (status, method) = (incoming.status, request.method.clone());
        let (digest, size) = self.keep(&mut incoming, &mut |piece| {
            // The client may have seen enough; what it asked for is written down all the same.
            if gone.is_none() {
                gone = reply.piece(piece).err();
            }
        })?;
        if id.2.is_some() && self.unknown == Unknown::Record {
            self.keep_bytes(&request.body)?;
        }
        let url = request.url.clone();
        let (name, version) = (None, None);
        let fetch = Fetch { name, version, url, method, sent: id.2, status, headers, size, digest };
        self.note(id, fetch);
        match gone {
            None => reply.end(),
            Some(error) => Err(error),
        }
    }

    fn keep_bytes(&self, bytes: &[u8]) -> io::Result<Digest> {
        let digest = Digest::of(bytes);
        let mut aside = tempfile::NamedTempFile::new_in(&self.bodies)?;
        aside.write_all(bytes)?;
        aside.persist(body_path(&self.bodies, &digest)).map_err(|error| error.error)?;
        Ok(digest)
    }

    fn note(&self, id: Id, fetch: Fetch) {
        let mut heard = self.heard();
        match self.unknown {
            Unknown::Record => drop(heard.answers.insert(id, fetch)),
            Unknown::Pass | Unknown::Refuse => drop(heard.passed.insert(fetch.url)),
        }
    }

    /// A server that cannot be reached is an answer, too: a hook may be content with it.
    fn note_failure(&self, id: Id, request: &Request, why: &str) -> io::Result<()> {
        if self.heard().answers.contains_key(&id) {
            return Ok(());
        }
        let text = format!("{why}\n");
        let (digest, size) = (self.keep_bytes(text.as_bytes())?, text.len() as u64);
        let headers = BTreeMap::from([("content-type".to_owned(), "text/plain".to_owned())]);
        let (url, method, sent) = (request.url.clone(), request.method.clone(), id.2);
        let (name, version, status) = (None, None, 502);
        let fetch = Fetch { name, version, url, method, sent, status, headers, size, digest };
        self.note(id, fetch);
        Ok(())
    }
}

impl Answers for Tape {
    fn answer(&self, request: &Request, reply: &mut Reply<'_>) -> io::Result<()> {
        let sent = (!request.body.is_empty()).then(|| Digest::of(&request.body));
        let id = (request.method.clone(), request.url.clone(), sent);
        // What was answered once in a build stays so: a mirror may move on meanwhile. Only
        // failures may get better.
        let known = self.heard().answers.get(&id).cloned().filter(|fetch| fetch.status < 500);
        if let Some(fetch) = known.or_else(|| self.held.get(&id).cloned()) {
            self.heard().answers.insert(id, fetch.clone());
            return self.play(&fetch, request, reply);
        }
        match self.unknown {
            Unknown::Record | Unknown::Pass => self.live(id, request, reply),
            Unknown::Refuse => {
                let what = if request.method == "GET" { "" } else { &request.method };
                let what = format!("{what} {}", request.url);
                self.drift(reply, format!("{} is not in the lock", what.trim_start()))
            }
        }
    }
}

fn id_of(fetch: &Fetch) -> Id {
    (fetch.method.clone(), fetch.url.clone(), fetch.sent)
}

/// Where the body of that digest lies, or would.
pub(super) fn body_path(bodies: &Path, digest: &Digest) -> PathBuf {
    bodies.join(format!("sha256-{}", digest.hex()))
}

fn is_there(path: &Path, fetch: &Fetch) -> bool {
    if fetch.size == 0 {
        return true;
    }
    let Ok(file) = fs_err::File::open(path) else { return false };
    let mut reader = Digesting::new(file);
    io::copy(&mut reader, &mut io::sink()).is_ok() && reader.finish().1 == fetch.digest
}
