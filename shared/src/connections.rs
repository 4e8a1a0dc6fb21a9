//! What is known of open connections, so that a host program is asked, and a certificate read, once for each.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use core::borrow::Borrow;

use crate::request::Connection;

/// The facts of connections, by what the host program tells them apart by; the one known longest makes room for
/// a new one. The end of a connection is told to no host, so it goes unnoticed.
#[derive(Debug)]
pub struct Connections<K> {
    known: BTreeMap<K, Rc<Connection>>,
    oldest_first: VecDeque<K>,
    capacity: usize,
}

impl<K: Clone + Ord> Connections<K> {
    /// No connections; at most `capacity` will be remembered, and one that is pushed out is only asked for again.
    ///
    /// One with a usual certificate takes some 6 KB, one with the largest that is read some 40 KB, and as much
    /// again where the certificate comes in a header field.
    pub const fn new(capacity: usize) -> Self {
        Self {
            known: BTreeMap::new(),
            oldest_first: VecDeque::new(),
            capacity,
        }
    }

    /// The facts of the connection, from `ask` when they are not known yet.
    pub fn get<Q>(&mut self, key: &Q, ask: impl FnOnce() -> Connection) -> Rc<Connection>
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(connection) = self.known.get(key) {
            return Rc::clone(connection);
        }
        let connection = Rc::new(ask());
        if self.oldest_first.len() >= self.capacity
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(oldest.borrow());
        }
        let key = key.to_owned();
        self.oldest_first.push_back(key.clone());
        self.known.insert(key, Rc::clone(&connection));
        connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Transport;
    use std::format;
    use std::string::String;

    #[test]
    fn a_connection_is_asked_for_once_until_it_is_pushed_out() {
        let mut connections = Connections::<String>::new(3);
        let mut asked = 0;
        let mut get = |connections: &mut Connections<String>, name: &str| {
            connections.get(name, || {
                asked += 1;
                Connection::new(Transport::Plain)
            });
            asked
        };
        assert_eq!(get(&mut connections, "0"), 1);
        assert_eq!(get(&mut connections, "0"), 1);
        for name in 1..=3 {
            get(&mut connections, &format!("{name}"));
        }
        assert_eq!(connections.known.len(), 3);
        assert_eq!(get(&mut connections, "0"), 5);
        assert_eq!(get(&mut connections, "3"), 5);
    }
}
