//! The timekeeper of a pool, on the supervisor's thread: it wakes the engine when its time has come. And where JavaScript
//! does not come when it is rung for, while items have a time-out, it does that work in its place: it hears workers as they
//! ring, so that what they have to say arrives in its time however large it is, and a worker that becomes ready gets
//! something to do.

use super::{
    Pool,
    pool::{Core, Unheard},
    supervisor::serve,
    watch::Bells,
};
use std::{
    future::pending,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::Instant,
};

/// How long JavaScript may take to come.
const PATIENCE: Duration = Duration::from_millis(10);

/// Wakes the pool's engine at its deadlines, as long as the pool lives.
pub async fn keep_time(pool: Weak<Pool>) {
    let mut javascript = JavaScript::Comes;
    loop {
        // Held across no await: the pool must be able to go.
        let Some((due, changed)) = pool.upgrade().map(|pool| {
            javascript.look(&pool);
            (pool.arm(), Arc::clone(&pool.deadline_changed))
        }) else {
            return;
        };
        let is_due = tokio::select! {
            () = changed.notified() => continue,
            () = wait(due) => true,
            () = javascript.is_missed() => false,
        };
        // What workers have written before their time was over is read before somebody says that it is.
        tokio::task::yield_now().await;
        let Some(pool) = pool.upgrade() else { return };
        if is_due || javascript.is_missing(&pool) {
            let visits = pool.visits();
            let unheard = serve(&pool, Core::time_passed);
            javascript.was_rung_for(visits, unheard);
        }
    }
}

/// What the timekeeper knows of the JavaScript thread. `visits`: those that there were when it was rung for.
enum JavaScript {
    Comes,
    RungFor {
        visits: u64,
        at: Instant,
    },
    /// `more`: workers have more to say than was heard.
    Missing {
        visits: u64,
        bells: AsyncFd<Arc<Bells>>,
        more: bool,
    },
}

impl JavaScript {
    /// It has come, perhaps.
    fn look(&mut self, pool: &Pool) {
        match self {
            Self::RungFor { visits, .. } | Self::Missing { visits, .. } if *visits != pool.visits() => {
                *self = Self::Comes;
            }
            _ => {}
        }
    }

    /// Waits until there is something to do in its place, or to find out that there may be.
    async fn is_missed(&self) {
        match self {
            Self::Comes => pending().await,
            Self::RungFor { at, .. } => tokio::time::sleep_until(*at + PATIENCE).await,
            Self::Missing { more: true, .. } => {}
            Self::Missing { bells, .. } => match bells.readable().await {
                Ok(mut rings) => {
                    // In this order: a ring after the answer is heard anew.
                    rings.clear_ready();
                    bells.get_ref().answer();
                }
                Err(_) => pending().await,
            },
        }
    }

    /// Whether it did not come.
    fn is_missing(&mut self, pool: &Pool) -> bool {
        self.look(pool);
        if let Self::RungFor { visits, .. } = *self {
            // SAFETY: the registration owns the descriptor, through its count, and closes nothing before it ends.
            let bells = unsafe { AsyncFd::register_with_interest(pool.watch.workers(), Interest::READABLE) };
            *self = bells.map_or(Self::Comes, |bells| Self::Missing { visits, bells, more: true });
        }
        matches!(self, Self::Missing { .. })
    }

    /// It was rung for after so many visits. Where nobody's time runs there is no hurry: workers wait for it.
    fn was_rung_for(&mut self, visits: u64, unheard: Unheard) {
        match self {
            _ if !unheard.is_timed => *self = Self::Comes,
            Self::Comes => *self = Self::RungFor { visits, at: Instant::now() },
            Self::RungFor { .. } => {}
            Self::Missing { more, .. } => *more = unheard.more,
        }
    }
}

async fn wait(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => pending().await,
    }
}
