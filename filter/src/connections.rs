//! What is known of open connections, so that it is asked of the host program once.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use auth_edge::request::Connection;

/// How many connections are remembered. One with a usual certificate takes some 6 KB, one with the
/// largest that is read some 40 KB: 6 MB a worker thread, 40 MB at worst. One that is pushed out is
/// only asked for again.
pub(crate) const REMEMBERED: usize = 1024;

/// The facts of connections, by the host program's connection id; the one known longest makes room
/// for a new one. The end of a connection is not told to a filter, so it goes unnoticed.
#[derive(Default)]
pub(crate) struct Connections {
    known: BTreeMap<u64, Rc<Connection>>,
    oldest_first: VecDeque<u64>,
}

impl Connections {
    /// The facts of the connection, from `ask` when they are not known yet.
    ///
    /// What `ask` fails to find is not remembered: the next request asks again.
    pub(crate) fn get<E>(
        &mut self,
        id: u64,
        ask: impl FnOnce() -> Result<Connection, E>,
    ) -> Result<Rc<Connection>, E> {
        if let Some(connection) = self.known.get(&id) {
            return Ok(Rc::clone(connection));
        }
        let connection = Rc::new(ask()?);
        if self.oldest_first.len() >= REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.oldest_first.push_back(id);
        self.known.insert(id, Rc::clone(&connection));
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth_edge::request::Transport;

    fn plain() -> Result<Connection, ()> {
        Ok(Connection {
            transport: Transport::Plain,
        })
    }

    #[test]
    fn a_connection_is_asked_for_once_until_it_is_pushed_out() {
        let mut connections = Connections::default();
        assert!(connections.get(0, plain).is_ok());
        assert!(connections.get(0, || Err(())).is_ok());
        for id in 1..=u64::try_from(REMEMBERED).unwrap() {
            connections.get(id, plain).unwrap();
        }
        assert_eq!(connections.known.len(), REMEMBERED);
        assert!(connections.get(0, || Err(())).is_err());
        assert!(connections.get(1, || Err(())).is_ok());
    }

    #[test]
    fn a_failure_is_not_remembered() {
        let mut connections = Connections::default();
        assert!(connections.get(7, || Err(())).is_err());
        assert!(connections.get(7, plain).is_ok());
    }
}
