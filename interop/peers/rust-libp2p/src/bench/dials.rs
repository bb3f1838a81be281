//! Jobs that dial: each node has an identity of its own.

use std::time::Instant;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::{
    jobs::{Turns, counted, wait_for_all},
    lines,
    node::{Node, Server, Until},
    requests::request,
};

/// Dials, echoes one byte and closes, with `parallel` nodes at once.
pub(crate) async fn connect(server: Server, count: u64, parallel: u64) -> Result<()> {
    let nodes = (0..parallel).map(|_| Node::new()).collect::<Result<Vec<_>>>()?;
    lines::ready().await?;
    let (turns, mut tasks, started) = (Turns::new(count), JoinSet::new(), Instant::now());
    for node in nodes {
        tasks.spawn(connect_in_turn(node, server.clone(), turns.clone()));
    }
    wait_for_all(&mut tasks).await?;
    lines::result(counted(count, started)).await
}

async fn connect_in_turn(mut node: Node, server: Server, turns: Turns) -> Result<()> {
    let control = node.control();
    while turns.take() {
        node.dial(&server.address, Until::Connected).await?;
        node.during(request::<1>(&control)).await?;
        node.disconnect(server.peer).await?;
    }
    Ok(())
}

/// Opens connections, each after one echo, and keeps them until stdin ends.
pub(crate) async fn hold(server: Server, count: u64) -> Result<()> {
    lines::ready().await?;
    let (mut kept, started) = (JoinSet::new(), Instant::now());
    for _ in 0..count {
        let mut node = Node::new()?;
        let control = node.control();
        node.dial(&server.address, Until::Connected).await?;
        node.during(request::<1>(&control)).await?;
        kept.spawn(async move { Err(node.keep().await) });
    }
    let measured = counted(count, started);
    ensure!(kept.try_join_next().is_none(), "a connection was lost while others were opened");
    tokio::select! {
        ended = lines::result(measured) => ended,
        lost = wait_for_all(&mut kept), if !kept.is_empty() => lost,
    }
}
