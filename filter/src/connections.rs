//! What is known of open connections, so that it is asked of the host program once.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use auth_edge::request::Connection;

/// How many connections are remembered. One with a usual certificate takes some 6 KB, one with the
/// largest that is read some 40 KB, and as much again where the certificate comes in a header field: 6 MB
/// a worker thread, 80 MB at worst. One that is pushed out is only asked for again.
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
    pub(crate) fn get(&mut self, id: u64, ask: impl FnOnce() -> Connection) -> Rc<Connection> {
        if let Some(connection) = self.known.get(&id) {
            return Rc::clone(connection);
        }
        let connection = Rc::new(ask());
        if self.oldest_first.len() >= REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.oldest_first.push_back(id);
        self.known.insert(id, Rc::clone(&connection));
        connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth_edge::request::Transport;

    fn plain() -> Connection {
        Connection::new(Transport::Plain)
    }

    #[test]
    fn a_connection_is_asked_for_once_until_it_is_pushed_out() {
        let mut connections = Connections::default();
        let mut asked = 0;
        let mut get = |connections: &mut Connections, id| {
            connections.get(id, || {
                asked += 1;
                plain()
            });
            asked
        };
        assert_eq!(get(&mut connections, 0), 1);
        assert_eq!(get(&mut connections, 0), 1);
        let last = u64::try_from(REMEMBERED).unwrap();
        for id in 1..=last {
            get(&mut connections, id);
        }
        assert_eq!(connections.known.len(), REMEMBERED);
        let before = get(&mut connections, last);
        assert_eq!(get(&mut connections, 0), before + 1);
        assert_eq!(get(&mut connections, last), before + 1);
    }
}
