//! Several blobs at once.

use std::sync::Mutex;

/// How many blobs are on the way at a time.
const PARALLEL: usize = 4;

/// Does `work` for every item, a few at a time; after the first error the others end with
/// what they are at.
///
/// # Errors
///
/// The first error of `work`.
pub(super) fn each<T: Sync, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let queue = Mutex::new(items.iter());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(item) = next else { return };
                    let Err(error) = work(item) else { continue };
                    if let (Ok(mut failed), Ok(mut queue)) = (failed.lock(), queue.lock()) {
                        failed.get_or_insert(error);
                        queue.by_ref().for_each(drop);
                    }
                    return;
                }
            });
        }
    });
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}
