//! What a posting says besides accounts and money: its tail, by act.

use crate::wire::{Field, Send, SendView};

macro_rules! tail {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty,)* }

        impl $name {
            /// Bytes of its fields.
            pub const LEN: usize = 0 $(+ <$ty as Field>::LEN)*;

            /// Writes the fields; returns their length.
            pub fn put(&self, out: &mut [u8]) -> usize {
                let mut at = 0;
                $(self.$field.put(&mut out[at..]); at += <$ty as Field>::LEN;)*
                at
            }

            /// Reads the fields; `None` when `bytes` is too short.
            pub fn take(bytes: &[u8]) -> Option<Self> {
                if bytes.len() < Self::LEN {
                    return None;
                }
                let mut at = 0;
                $(let $field = <$ty as Field>::take(&bytes[at..]); at += <$ty as Field>::LEN;)*
                let _ = at;
                Some(Self { $($field,)* })
            }
        }
    };
}

tail! {
    /// A packet as it was made. `recipients` user ids of 8 bytes and `greeting_len` bytes of UTF-8 follow.
    Terms {
        /// Milliseconds on the ledger's clock from which nobody may take.
        expires_ms: u64,
        /// What the shares of a random split are drawn from; see [`split`](crate::engine::split).
        seed: [u8; 16],
        /// See [`Send`].
        set: u16,
        /// See [`Send`].
        split: u8,
        /// See [`Send`].
        audience: u8,
        /// Shares.
        shares: u8,
        /// User ids that follow.
        recipients: u8,
        /// Bytes of greeting after them.
        greeting_len: u8,
    }
}

impl Terms {
    /// The packet of `total_fen` as it was asked for, with the recipients and the greeting that follow the terms; `None`
    /// when those are not what the terms say.
    pub fn view<'a>(&self, total_fen: u64, tail: &'a [u8]) -> Option<SendView<'a>> {
        let Terms { set, split, audience, shares, recipients, greeting_len, .. } = *self;
        // What only the datagram needed is over.
        let (flags, session, counter, request, reserved) = (0, 0, 0, 0, 0);
        let fields = Send {
            flags,
            session,
            counter,
            request,
            total_fen,
            split,
            audience,
            shares,
            recipients,
            set,
            greeting_len,
            reserved,
        };
        SendView::of(fields, tail)
    }
}

tail! {
    /// A refusal that is kept.
    Refused {
        /// The number of the kind that was asked.
        kind: u8,
        /// The number of a [`Refusal`](crate::wire::Refusal).
        refusal: u8,
        /// With *already yours*, the share; else 0.
        share_fen: u32,
    }
}

tail! {
    /// What a user is told of a packet.
    Told {
        /// What was put into it.
        fen: u64,
        /// Milliseconds since 1970 when it was made.
        made_ms: u64,
    }
}

tail! {
    /// A campaign as it was asked for; its budget is the posting's `fen`.
    Planned {
        /// Prizes per second.
        rate: u32,
        /// Smallest prize.
        from_fen: u64,
        /// Largest prize.
        to_fen: u64,
        /// Prizes that one user may win.
        per_user: u8,
    }
}
