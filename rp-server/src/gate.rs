//! The gate's loader: puts the kernel programs in place, and takes them away again.
