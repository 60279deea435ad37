use super::*;

#[test]
fn a_policy_is_written_back_as_it_was() {
    for text in [
        "7d all, 30d daily, 1y weekly, then monthly",
        "last 3",
        "24 hourly, 7 daily, 4 weekly, 12 monthly, 3 yearly",
        "1y6mo all, then yearly",
        "2w1d12h hourly, tag release",
        "tag \"a, \"\"b\"\"\", tag before migration",
        "tag \"5\"\" disk\", 7d all",
        "all",
    ] {
        assert_eq!(Policy::parse(text).unwrap().to_string(), text);
    }
    for (text, same) in [
        ("7 days all,30 days  daily", "7d all, 30d daily"),
        ("1 year 6 months weekly", "1y6mo weekly"),
        ("then all", "all"),
        ("tag \"plain\"", "tag plain"),
    ] {
        assert_eq!(Policy::parse(text).unwrap().to_string(), same);
    }
}

#[test]
fn a_fault_names_the_word_and_what_was_meant() {
    let check = |text: &str, said: &str| {
        let fault = Policy::parse(text).expect_err(text).to_string();
        assert!(fault.contains(said), "{text}: {fault}");
    };
    check(
        "7d all, 30d dayly",
        "\"dayly\" is no period: hourly, daily, weekly, monthly and yearly are; did you mean \"daily\"?",
    );
    check("then monthy", "\"monthy\" is no period");
    check("30m daily", "\"30m\" may be minutes or months: write 30mo for months");
    check("30dys daily", "\"dys\" is no unit of time, h, d, w, mo and y are; did you mean \"day");
    check("daily", "\"daily\" does not say for how long: write 30d daily, 7 daily or then daily");
    check("7 all", "\"7 all\" does not say of what: write 7d all for days, or last 7");
    check("30d", "\"30d\" does not say what is kept: write 30d all, or 30d daily");
    check("last", "\"last\" is no rule: \"last\" is used as in \"last 3\"");
    check("last 0", "\"0\" is no number of snapshots to keep");
    check("last -1", "\"-1\" is no number of snapshots to keep");
    check("0d all", "\"0\" is not from 1 to 9999");
    check("0 daily", "\"0\" is no number of snapshots to keep");
    check("99999999999d all", "\"99999999999\" is not from 1 to 9999");
    check("7d 3d all", "\"d\" is there twice in \"7d 3d\"");
    check("", "a rule is missing: one looks like 7d all");
    check("7d all,", "a rule is missing");
    check("keep everything", "\"keep everything\" is no rule: one looks like");
    check("alll", "did you mean \"all\"?");
    check("tag \"open", "lacks its closing quote");
    // What follows would have been taken for a part of the tag, and not been a rule.
    check("tag 5\" disk, 7d all, then monthly", "a quote stands alone in the tag 5\" disk");
    check("tag \"a\"b\", 7d all, tag \"c\"", "a quote stands alone in the tag \"a\"b\"");
    check("then", "\"then\" is used as in \"then monthly\"");
}
