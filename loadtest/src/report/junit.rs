//! A document as `JUnit` XML: a suite for each class of demands, a case for each threshold, invariant and strategy.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::document::{CaseOutcome, Document};

/// The file.
pub fn junit(document: &Document) -> String {
    let mut report = Report::new(document.title.as_str());
    let mut classes: Vec<&str> = Vec::new();
    for case in &document.cases {
        if !classes.contains(&case.class.as_str()) {
            classes.push(&case.class);
        }
    }
    for class in classes {
        let mut suite = TestSuite::new(class);
        for case in document.cases.iter().filter(|case| case.class == class) {
            let mut entry = TestCase::new(case.name.as_str(), status(&case.outcome));
            entry.set_classname(class);
            suite.add_test_case(entry);
        }
        report.add_test_suite(suite);
    }
    // Into memory, with names that are XML strings by type, nothing can fail.
    report.to_string().unwrap_or_default()
}

fn status(outcome: &CaseOutcome) -> TestCaseStatus {
    match outcome {
        CaseOutcome::Passed => TestCaseStatus::success(),
        CaseOutcome::Failed { message, detail } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(message.as_str()).set_description(detail.as_str());
            status
        }
        // What could not be decided is no success: a pipeline must not take it for one.
        CaseOutcome::Undecided { message } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(message.as_str());
            status
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_demand_is_a_case_of_its_class() {
        let mut document = Document::new("<run> & \"more\"");
        let failed =
            CaseOutcome::Failed { message: "p99 < 20ms: was 31 & more".into(), detail: "a\u{1}\n<b>".into() };
        document.case("threshold", "p99<20ms", failed);
        document.case("invariant", "no lost update", CaseOutcome::Passed);
        document.case("invariant", "complete", CaseOutcome::Undecided { message: "2 unknown".into() });
        let xml = junit(&document);
        let read = Report::deserialize_from_str(&xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
        assert_eq!((read.tests, read.failures, read.errors), (3, 1, 1));
        let suites: Vec<(String, usize)> =
            read.test_suites.iter().map(|suite| (suite.name.to_string(), suite.tests)).collect();
        assert_eq!(suites, [("threshold".to_owned(), 1), ("invariant".to_owned(), 2)]);
        let TestCaseStatus::NonSuccess { message, description, .. } =
            &read.test_suites[0].test_cases[0].status
        else {
            panic!("it failed: {xml}")
        };
        assert_eq!(message.as_ref().unwrap().as_str(), "p99 < 20ms: was 31 & more");
        assert_eq!(description.as_ref().unwrap().as_str(), "a\n<b>");
    }
}
