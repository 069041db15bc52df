//! The one way fixed fields become bytes and come back.

/// A field of fixed size.
pub trait Field: Sized {
    /// Bytes on the wire.
    const LEN: usize;
    /// Writes the field to the first [`Self::LEN`] bytes of `out`.
    fn put(&self, out: &mut [u8]);
    /// Reads the field from the first [`Self::LEN`] bytes of `bytes`.
    fn take(bytes: &[u8]) -> Self;
}

macro_rules! integer {
    ($($ty:ty),*) => {$(
        impl Field for $ty {
            const LEN: usize = size_of::<$ty>();
            #[inline(always)]
            fn put(&self, out: &mut [u8]) { out[..Self::LEN].copy_from_slice(&self.to_le_bytes()); }
            #[inline(always)]
            fn take(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$ty>()];
                raw.copy_from_slice(&bytes[..Self::LEN]);
                <$ty>::from_le_bytes(raw)
            }
        }
    )*};
}
integer!(u8, u16, u32, u64);

impl<const N: usize> Field for [u8; N] {
    const LEN: usize = N;
    #[inline(always)]
    fn put(&self, out: &mut [u8]) {
        out[..N].copy_from_slice(self);
    }
    #[inline(always)]
    fn take(bytes: &[u8]) -> Self {
        let mut raw = [0; N];
        raw.copy_from_slice(&bytes[..N]);
        raw
    }
}

/// Declares a datagram, or a row inside one, as the list of its fields in wire order.
///
/// `Name = Kind { .. }` starts with the first byte of that kind; `Name = row { .. }` has no first byte.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident = row { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* }) => {
        layout!(@body $(#[$doc])* $name, 0, { $($(#[$fdoc])* $field: $ty,)* }, {});
    };
    ($(#[$doc:meta])* $name:ident = $kind:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* }) => {
        layout!(@body $(#[$doc])* $name, 1, { $($(#[$fdoc])* $field: $ty,)* }, {
            /// The kind in its first byte.
            pub const KIND: crate::kind::Kind = crate::kind::Kind::$kind;
        });
        impl $name {
            /// Writes first byte and fields; returns their length. Tail, seal and tag are the caller's.
            #[inline]
            pub fn put(&self, out: &mut [u8]) -> usize {
                out[0] = Self::KIND.first_byte();
                self.put_fields(out)
            }
        }
    };
    (@body $(#[$doc:meta])* $name:ident, $first:literal, { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* }, { $($item:item)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty,)* }

        impl $name {
            $($item)*
            /// Bytes of first byte (if any) and fixed fields.
            pub const LEN: usize = $first $(+ <$ty as crate::wire::Field>::LEN)*;

            /// Writes the fields alone and returns where they end.
            #[inline]
            pub fn put_fields(&self, out: &mut [u8]) -> usize {
                let mut at = $first;
                $(crate::wire::Field::put(&self.$field, &mut out[at..]); at += <$ty as crate::wire::Field>::LEN;)*
                at
            }

            /// Reads the fields; `None` when `bytes` is shorter than [`Self::LEN`]. The first byte is not looked at.
            #[inline]
            pub fn take(bytes: &[u8]) -> Option<Self> {
                if bytes.len() < Self::LEN {
                    return None;
                }
                let mut at = $first;
                $(let $field = <$ty as crate::wire::Field>::take(&bytes[at..]); at += <$ty as crate::wire::Field>::LEN;)*
                let _ = at;
                Some(Self { $($field,)* })
            }
        }
    };
}
pub(super) use layout;
