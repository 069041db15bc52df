//! What docs/LEDGER.md says to ask by SQL, asked of a ledger beside its server.

use std::collections::BTreeMap;

use rp_core::posting::{self, Account};
use rp_server::ledger::{Heads, sqlite};

use crate::house::{Folder, commit, plain};

/// The queries of the document, in order.
fn documented() -> Vec<String> {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/LEDGER.md"));
    let document = document.expect("the document is there");
    document.split('"').filter(|text| text.starts_with("SELECT")).map(str::to_owned).collect()
}

/// The sum of a query's answers over all files of postings.
fn ask(folder: &Folder, sql: &str) -> i64 {
    let is_postings = |name: &String| name.starts_with("postings") && name.ends_with(".db");
    let ask = |name: String| {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let file = rusqlite::Connection::open_with_flags(folder.file(&name), flags).expect("it is there");
        // The next file is made beside the writer, and has no tables yet while it is.
        if !file.table_exists(None, "segment").expect("it can be read") {
            return 0;
        }
        file.query_one(sql, [], |row| row.get::<_, i64>(0)).expect("it answers")
    };
    folder.files().into_iter().filter(is_postings).map(ask).sum()
}

#[test]
fn the_documented_queries_answer_as_the_postings_do() {
    let queries = documented();
    let [balance, all] = &queries[..] else { panic!("{queries:?}") };
    let folder = Folder::new();
    let mut opened = sqlite::open(&folder.place(), &mut ()).expect("an empty folder");
    let (mut heads, mut sums) = (Heads::default(), BTreeMap::<Account, i64>::new());
    for seed in 0..60 {
        let group = plain(&mut heads, 60, seed);
        for posting in posting::each(&group) {
            if let Some((debit, credit)) = posting.accounts() {
                *sums.entry(debit).or_default() -= posting.fen as i64;
                *sums.entry(credit).or_default() += posting.fen as i64;
            }
        }
        commit(&mut opened, &group);
    }
    assert_eq!(ask(&folder, all), 0);
    let users = sums.iter().filter_map(|(account, fen)| match account {
        Account::User(user) => Some((user, fen)),
        _ => None,
    });
    let users: Vec<_> = users.collect();
    assert!(users.len() > 20 && users.iter().any(|(_, fen)| **fen < 0) && folder.files().len() > 6);
    for (user, fen) in users {
        assert_eq!(ask(&folder, &balance.replace("account = 7", &format!("account = {user}"))), *fen, "user {user}");
    }
    for (kind, account) in [("mint", Account::Mint), ("transit", Account::Transit)] {
        let sql = format!("SELECT coalesce(sum(fen), 0) FROM entries WHERE type = '{kind}'");
        assert_eq!(ask(&folder, &sql), sums[&account], "{kind}");
    }
}
