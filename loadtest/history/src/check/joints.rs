//! Across levels, the quick way: whether one order of everything exists, when each level by itself has one.
//!
//! An order that respects real time exists exactly if every operation can be given a moment between its invocation and its
//! return such that on each level moments do not go down from one version to the next, and operations do not wait for
//! each other in a circle. (From an order: each operation's moment is the latest invocation so far, which is no later
//! than its return, or real time would have put it first. From moments: order by them, and those that are equal as the
//! levels say.) Levels are tied together only by *joints*: writes that changed several of them, and consistent reads.
//!
//! So all that matters of a level is a graph of few *nodes*: its joints, and, where a joint read a version, the changes that
//! made and ended that version. Of what comes between two of them no more matters than the latest invocation, before which
//! the second cannot be, and the earliest return, after which the first cannot have been: an *edge*. Changes of a level form a
//! chain; of those who read one version none waits for another. The earliest possible moment of each node
//! follows from those before it, in one pass (Kahn 1962); if one is too late, or the pass ends early, there is no order.
//!
//! It answers yes or no; who is to blame is for [`super::order`] to find, on a history that is known to be wrong.

use super::index::{Event, Index, NONE, Role, Row};

/// What a violation that [`super::order`] cannot find again would say.
pub(super) const PROOF_MISSING: &str = "levels that have no common order have a circle";

/// What lies between two nodes of a level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    /// The record of the node it comes after; [`NONE`] for what comes first on a level.
    from: u32,
    /// The record of the node that ends it; [`NONE`] for what comes last on a level.
    to: u32,
    /// The latest invocation in it, that of the node that ends it included.
    invoked: u64,
    /// The earliest return in it, that of the node that ends it included.
    returned: u64,
}

impl Edge {
    /// The edge to a node that nothing lies before.
    fn straight(from: u32, to: &Event) -> Self {
        Self { from, to: to.record, invoked: to.invoked, returned: to.returned }
    }

    /// The beginning of an edge.
    fn open(from: u32) -> Self {
        Self { from, to: NONE, invoked: 0, returned: u64::MAX }
    }

    fn pass(&mut self, event: &Event) {
        self.invoked = self.invoked.max(event.invoked);
        self.returned = self.returned.min(event.returned);
    }

    /// Appends the edges of a level.
    pub(super) fn of_level(index: &Index<'_>, row: &Row, edges: &mut Vec<Edge>) {
        let before = edges.len();
        let mut edge = Edge::open(NONE);
        // Joints that read the version at hand: the change that ends it comes after all of them.
        let mut readers: Vec<u32> = Vec::new();
        for events in index.events[row.events.clone()].chunk_by(|a, b| a.version == b.version) {
            let (changes, looks) =
                events.split_at(events.partition_point(|event| event.role == Role::Change));
            for change in changes {
                edge.pass(change);
                let is_node =
                    change.is_joint || !readers.is_empty() || looks.iter().any(|look| look.is_joint);
                if is_node {
                    edges.push(Edge { to: change.record, ..edge });
                    edges.extend(readers.drain(..).map(|reader| Edge::straight(reader, change)));
                    edge = Edge::open(change.record);
                }
            }
            for look in looks {
                if look.is_joint {
                    edges.push(Edge::straight(edge.from, look));
                    readers.push(look.record);
                } else {
                    edge.pass(look);
                }
            }
        }
        // A level without joints is in order by itself, and ties nothing.
        if edges.len() > before {
            edges.push(edge);
        }
    }
}

/// Whether there is an order of everything.
pub(super) fn have_an_order(edges: &[Edge]) -> bool {
    let graph = Graph::new(edges);
    // The earliest moment of each node, as far as is known, and how many edges to it are not done.
    let mut nodes: Vec<(u64, u32)> = graph.entries.iter().map(|entries| (0, *entries)).collect();
    let mut ready: Vec<(u32, u64)> = graph.first.iter().map(|edge| (*edge, 0)).collect();
    let mut done = 0;
    while let Some((number, entered)) = ready.pop() {
        let edge = &edges[number as usize];
        if entered > edge.returned {
            return false;
        }
        if edge.to == NONE {
            continue;
        }
        let node = graph.ends[number as usize];
        let (moment, left) = &mut nodes[node as usize];
        *moment = (*moment).max(entered).max(edge.invoked);
        *left -= 1;
        if *left > 0 {
            continue;
        }
        // It is no later than the node's return: what was entered is not, and what was sent before is not, or the level by
        // itself would not be in order.
        done += 1;
        ready.extend(graph.leaving(node).iter().map(|edge| (*edge, *moment)));
    }
    done == nodes.len()
}

/// Which edges end and begin at one node.
struct Graph {
    /// Edges that begin a level.
    first: Vec<u32>,
    /// By edge: the number of the node that ends it; [`NONE`] for one that ends a level.
    ends: Vec<u32>,
    /// By node: how many edges it ends.
    entries: Vec<u32>,
    /// Where in `leaves` those of each node begin, and the end of the last.
    starts: Vec<u32>,
    leaves: Vec<u32>,
}

impl Graph {
    fn new(edges: &[Edge]) -> Self {
        let mut ends = vec![NONE; edges.len()];
        let mut entries = Vec::new();
        let mut starts = vec![0];
        let leaving = by_record(edges, |edge| edge.from);
        let mut left = 0;
        for same in by_record(edges, |edge| edge.to).chunk_by(|a, b| record(*a) == record(*b)) {
            for part in same {
                ends[edge(*part) as usize] = count(entries.len());
            }
            entries.push(count(same.len()));
            // Whatever begins at a node comes after something that ends there, so both lists have the same records.
            left += leaving[left..].partition_point(|part| record(*part) <= record(same[0]));
            starts.push(count(left));
        }
        let first =
            (0..).zip(edges).filter(|(_, edge)| edge.from == NONE).map(|(number, _)| number).collect();
        Self { first, ends, entries, starts, leaves: leaving.into_iter().map(edge).collect() }
    }

    fn leaving(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.leaves[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

/// The numbers of edges with the record at one of their ends, which is not [`NONE`], sorted: a word for each, since that sorts fastest.
fn by_record(edges: &[Edge], end: impl Fn(&Edge) -> u32) -> Vec<u64> {
    let numbered = (0u64..).zip(edges).filter(|(_, edge)| end(edge) != NONE);
    let mut words: Vec<u64> = numbered.map(|(number, edge)| u64::from(end(edge)) << 32 | number).collect();
    words.sort_unstable();
    words
}

fn record(word: u64) -> u64 {
    word >> 32
}

fn edge(word: u64) -> u32 {
    count(usize::try_from(word & u64::from(u32::MAX)).unwrap_or(0))
}

/// Everything is counted in 32 bits: see [`super::check_log`].
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(NONE)
}
