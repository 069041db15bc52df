//! What the engine promises, through its door: datagrams in, datagrams out. The prototype's ten defects are rows here.

mod hostile;
mod money;
mod sessions;
mod world;
