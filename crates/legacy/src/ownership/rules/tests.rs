use std::collections::BTreeMap;

use super::{super::ACCOUNTS, decide};
use crate::{
    Decisions, LegacyError,
    ownership::{ORGANIZATION_ACCOUNTS, Ownership, Verdict, claims::Claim},
};

fn claim(key: &str, tenant: &str, waba_id: &str, number: &str) -> Claim {
    Claim {
        subject: ACCOUNTS,
        key: key.to_owned(),
        agent: Some(format!("agent of {key}")),
        has_agent: true,
        tenant: Some(tenant.to_owned()),
        waba_id: waba_id.to_owned(),
        phone_number_id: number.to_owned(),
        display_phone_number: None,
        business_id: None,
        has_token: true,
        created: None,
        last_login: None,
    }
}

fn own(key: &str, tenant: &str, waba_id: &str, number: &str) -> Claim {
    Claim {
        subject: ORGANIZATION_ACCOUNTS,
        agent: None,
        ..claim(key, tenant, waba_id, number)
    }
}

fn decided(claims: &[Claim], file: &str) -> Result<Ownership, LegacyError> {
    let tenants = ["acme", "globex", "umbrella", "it's \"new\""];
    let tenants: BTreeMap<_, _> = tenants
        .map(|key| (key.to_owned(), key.to_uppercase()))
        .into();
    let decisions = Decisions::read(&format!("version = 1\n{file}")).unwrap();
    decide(&tenants, claims, &decisions)
}

fn verdicts(ownership: &Ownership) -> BTreeMap<&str, Verdict> {
    let accounts = ownership.accounts.iter();
    accounts
        .map(|one| (one.key.as_str(), one.verdict))
        .collect()
}

fn kept(ownership: &Ownership) -> Vec<(&str, &str, &str)> {
    let lifted = ownership.lifted.iter();
    lifted
        .map(|one| {
            (
                one.tenant_key.as_str(),
                one.waba_id.as_str(),
                one.key.as_str(),
            )
        })
        .collect()
}

fn open(ownership: &Ownership) -> Vec<&str> {
    ownership
        .undecided
        .iter()
        .map(|one| one.tenant_key.as_str())
        .collect()
}

fn refused(claims: &[Claim], file: &str) -> Vec<String> {
    match decided(claims, file) {
        Err(LegacyError::Mapping(wrong)) => wrong,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_account_of_several_agents_is_lifted_with_the_newest_token_and_all_numbers() {
    let claims = [
        claim("new", "acme", "W1", "N2"),
        claim("old", "acme", "W1", "N1"),
        claim("older", "acme", "W1", "N2"),
    ];
    let found = decided(&claims, "").unwrap();
    assert_eq!(kept(&found), [("acme", "W1", "new")]);
    let numbers = found.lifted[0]
        .numbers
        .iter()
        .map(|one| one.phone_number_id.as_str());
    assert_eq!(numbers.collect::<Vec<_>>(), ["N2", "N1"]);
    let expected = [
        ("new", Verdict::Migrated),
        ("old", Verdict::Merged),
        ("older", Verdict::Merged),
    ];
    assert_eq!(verdicts(&found), BTreeMap::from(expected));
}

#[test]
fn what_the_organization_has_stays() {
    let claims = [
        own("org", "globex", "W1", "N1"),
        claim("same", "globex", "W1", "N1"),
        claim("more", "globex", "W1", "N2"),
        claim("other", "globex", "W2", "N3"),
    ];
    let found = decided(&claims, "").unwrap();
    assert_eq!(kept(&found), [("globex", "W1", "org")]);
    assert_eq!(found.lifted[0].numbers.len(), 1);
    let expected = [
        ("org", Verdict::Migrated),
        ("same", Verdict::Merged),
        ("more", Verdict::Skipped),
        ("other", Verdict::Skipped),
    ];
    assert_eq!(verdicts(&found), BTreeMap::from(expected));
}

#[test]
fn several_accounts_wait_for_a_decision_which_is_carried_out() {
    let claims = [
        claim("a", "acme", "W1", "N1"),
        claim("b", "acme", "W2", "N2"),
    ];
    let found = decided(&claims, "").unwrap();
    assert_eq!((kept(&found), open(&found)), (vec![], vec!["acme"]));
    assert_eq!(verdicts(&found)["a"], Verdict::Skipped);

    let found = decided(&claims, "[tenants.acme]\nwaba_id = ' W2 '").unwrap();
    assert_eq!(
        (kept(&found), open(&found)),
        (vec![("acme", "W2", "b")], vec![])
    );
    assert_eq!(verdicts(&found)["a"], Verdict::Skipped);

    let found = decided(&claims, "[tenants.acme]\nwaba_id = 'none'").unwrap();
    assert_eq!((kept(&found), open(&found)), (vec![], vec![]));
    assert_eq!(verdicts(&found)["b"], Verdict::Skipped);
}

#[test]
fn what_two_organizations_claim_is_not_given_to_either_unless_somebody_says_so() {
    let one_account = [
        own("org", "globex", "W1", "N1"),
        claim("a", "acme", "W1", "N9"),
        claim("u", "umbrella", "W3", "N3"),
    ];
    let found = decided(&one_account, "").unwrap();
    assert_eq!(open(&found), ["acme", "globex"]);
    assert_eq!(kept(&found), [("umbrella", "W3", "u")]);
    assert_eq!(found.undecided[0].candidates[0].also_of, ["globex"]);

    let one_number = [
        claim("a", "acme", "W1", "N1"),
        claim("g", "globex", "W2", "N1"),
    ];
    assert_eq!(open(&decided(&one_number, "").unwrap()), ["acme", "globex"]);
    // Also where the other's claim is none any more.
    let gives_way = [
        own("org", "globex", "W1", "N1"),
        claim("g", "globex", "W2", "N2"),
        claim("a", "acme", "W2", "N3"),
    ];
    assert_eq!(open(&decided(&gives_way, "").unwrap()), ["acme"]);

    let file = "[tenants.acme]\nwaba_id = 'none'\n[tenants.globex]\nwaba_id = 'W1'";
    assert_eq!(
        kept(&decided(&one_account, file).unwrap())[0],
        ("globex", "W1", "org")
    );
    let file = "[tenants.acme]\nwaba_id = 'W1'\n[tenants.globex]\nwaba_id = 'W2'";
    assert_eq!(
        refused(&one_number, file),
        [
            "tenants.globex.waba_id: the number N1 is also chosen for acme; choose \"none\" or another for one of them"
        ]
    );
}

#[test]
fn a_decision_that_does_not_fit_is_named_with_its_place() {
    let claims = [
        claim("a", "acme", "W1", "N1"),
        claim("b", "acme", "W2", "N2"),
        claim("u", "umbrella", "W3", "N3"),
    ];
    let file = "[tenants.acme]\nwaba_id = ''\n[tenants.nobody]\nwaba_id = 'W1'\n\
         [tenants.globex]\nwaba_id = 'W1'\n[tenants.umbrella]\nwaba_id = 'none'";
    assert_eq!(
        refused(&claims, file),
        [
            "tenants.globex.waba_id: it has no usable account, so there is nothing to decide; take it out",
            "tenants.nobody.waba_id: there is no such tenant",
            "tenants.acme.waba_id: still empty; one of W1, W2, or \"none\"",
            "tenants.umbrella.waba_id: there is nothing to decide, W3 is kept; take it out",
        ]
    );
    assert_eq!(
        refused(&claims, "[tenants.acme]\nwaba_id = 'W3'"),
        ["tenants.acme.waba_id: \"W3\" is none of its accounts; one of W1, W2, or \"none\""]
    );
    // What says the same as the rows is right after one of them is gone.
    let found = decided(&claims[..1], "[tenants.acme]\nwaba_id = 'W1'").unwrap();
    assert_eq!(kept(&found), [("acme", "W1", "a")]);
}

#[test]
fn rows_that_are_not_usable_are_rejected_with_a_reason_and_count_for_nothing() {
    let mut claims = vec![claim("good", "acme", "W1", "N1")];
    let mut reject = |key: &str, change: &dyn Fn(&mut Claim)| {
        let mut bad = claim(key, "acme", "W2", "N2");
        change(&mut bad);
        claims.push(bad);
    };
    reject("no agent", &|one| {
        (one.has_agent, one.tenant) = (false, None);
    });
    reject("no tenant", &|one| one.tenant = None);
    reject("unknown tenant", &|one| {
        one.tenant = Some("nobody".to_owned());
    });
    reject("no waba", &|one| one.waba_id.clear());
    reject("no number", &|one| one.phone_number_id.clear());
    reject("long", &|one| one.waba_id = "1".repeat(65));
    reject("no token", &|one| one.has_token = false);
    let found = decided(&claims, "").unwrap();
    assert_eq!(kept(&found), [("acme", "W1", "good")]);
    let reasons: BTreeMap<_, _> = found
        .accounts
        .iter()
        .filter(|one| one.verdict == Verdict::Rejected)
        .map(|one| (one.key.as_str(), one.reason.as_str()))
        .collect();
    let expected = [
        ("no agent", "its agent does not exist"),
        ("no tenant", "its agent has no tenant"),
        (
            "unknown tenant",
            "its agent is of the tenant \"nobody\", which does not exist",
        ),
        ("no waba", "waba_id is empty"),
        ("no number", "phone_number_id is empty"),
        ("long", "waba_id is longer than 64 characters"),
        ("no token", "access_token is empty"),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
}

#[test]
fn the_file_that_is_written_is_one_to_be_filled_in() {
    let key = "it's \"new\"";
    let claims = [claim("a", key, "W1", "N1"), claim("b", key, "W2", "N2")];
    let undecided = decided(&claims, "").unwrap().undecided;
    let file = Decisions::render(&undecided);
    assert!(
        file.contains("# W2: numbers N2; 1 agent; 0 conversations\n"),
        "{file}"
    );
    let empty = Decisions::read(&file).unwrap();
    let tenants = BTreeMap::from([(key.to_owned(), "New".to_owned())]);
    assert!(decide(&tenants, &claims, &empty).is_err());
    let filled = Decisions::read(&file.replace("\"\"\n", "\"W2\"\n")).unwrap();
    let found = decide(&tenants, &claims, &filled).unwrap();
    assert_eq!(kept(&found), [(key, "W2", "b")]);

    let mut breaking = undecided;
    breaking[0].tenant_name = "A\n[tenants.other]\nwaba_id = 'W9'".to_owned();
    assert_eq!(
        Decisions::read(&Decisions::render(&breaking)).unwrap(),
        empty
    );
}
