//! The threads behind a compressed disk: packers in a ring, one appender.

use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::super::SinkError;
use super::ClusterFile;
use super::codec::{Codec, Packed};

/// Clusters that wait before and after each packer.
const QUEUE: usize = 16;

/// A complete cluster and its place.
type Job = (u64, Box<[u8]>);
/// What a packer made of it.
type Done = (u64, io::Result<Packed>);

/// Feeds packers in turn; the appender takes from them in the same turn.
pub(super) struct Pipeline {
    lanes: Vec<Sender<Job>>,
    sent: u64,
    packers: Vec<JoinHandle<()>>,
    appender: JoinHandle<io::Result<(Box<dyn ClusterFile>, u64)>>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Pipeline {
    pub(super) fn start(host: Box<dyn ClusterFile>, codecs: Vec<Codec>) -> io::Result<Self> {
        let (mut lanes, mut packers, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for codec in codecs {
            let (lane, jobs) = bounded(QUEUE);
            let (done, result) = bounded(QUEUE);
            let thread = std::thread::Builder::new().name("disk-pack".into());
            packers.push(thread.spawn(move || pack_all(codec, &jobs, &done))?);
            lanes.push(lane);
            results.push(result);
        }
        let thread = std::thread::Builder::new().name("disk-append".into());
        let appender = thread.spawn(move || append_all(host, &results))?;
        Ok(Self { lanes, sent: 0, packers, appender })
    }

    /// Hands a cluster over; false when the appender has given up.
    pub(super) fn send(&mut self, index: u64, cluster: Box<[u8]>) -> bool {
        let turn = super::len_of(self.sent) % self.lanes.len();
        self.sent += 1;
        self.lanes.get(turn).is_some_and(|lane| lane.send((index, cluster)).is_ok())
    }

    /// Why [`send`](Self::send) failed.
    pub(super) fn failure(self) -> io::Error {
        match self.join() {
            Err(error) => error,
            Ok(_) => SinkError::ThreadLost.into(),
        }
    }

    /// Waits for the last cluster, then writes tables and header.
    pub(super) fn finish(self) -> io::Result<()> {
        let sent = self.sent;
        let (host, appended) = self.join()?;
        if appended != sent {
            return Err(SinkError::ThreadLost.into());
        }
        host.finish()
    }

    fn join(self) -> io::Result<(Box<dyn ClusterFile>, u64)> {
        drop(self.lanes);
        let lost = self.packers.into_iter().map(JoinHandle::join).any(|ended| ended.is_err());
        let appended =
            self.appender.join().unwrap_or_else(|_| Err(SinkError::ThreadLost.into()))?;
        if lost { Err(SinkError::ThreadLost.into()) } else { Ok(appended) }
    }
}

fn pack_all(mut codec: Codec, jobs: &Receiver<Job>, done: &Sender<Done>) {
    for (index, cluster) in jobs {
        if done.send((index, codec.pack(cluster))).is_err() {
            return;
        }
    }
}

fn append_all(
    mut host: Box<dyn ClusterFile>,
    results: &[Receiver<Done>],
) -> io::Result<(Box<dyn ClusterFile>, u64)> {
    let mut appended = 0;
    for result in results.iter().cycle() {
        let Ok((index, packed)) = result.recv() else { break };
        host.append(index, &packed?)?;
        appended += 1;
    }
    Ok((host, appended))
}
