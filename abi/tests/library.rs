//! What the C header computes with names is what Rust computes (NC-007…010, NC-147, NC-148).

use chorus_abi::error::*;
use chorus_abi::ui::*;
use chorus_abi::*;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Prints the results of every function for what it reads: two words, and two numbers.
const PROGRAM: &str = r#"
#include <stdio.h>
#include "chorus.h"
static void show(const char *name, int result, KnUniqueId ui)
{
    printf("%s %d %08x%08x\n", name, result, ui.ui_head, ui.ui_tail);
}
int main(void)
{
    unsigned int words[4];
    unsigned int type, site, stamp;
    int mode;
    while (scanf("%x %x %x %x %u %u %u %d", &words[0], &words[1], &words[2], &words[3], &type, &site, &stamp, &mode) == 8) {
        KnUniqueId a = { words[0], words[1] }, b = { words[2], words[3] }, ui;
        printf("%d %d %d\n", uiValid(&a), uiEqual(&a, &b), uiGetSite(&a));
        ui = a; show("build", uiBuild(&ui, type, site, stamp), ui);
        ui = a; show("site", uiSite(&ui, site), ui);
        ui = a; show("target", ipcTarget(&ui, mode), ui);
        ui = a; uiClear(&ui); show("clear", 0, ui);
    }
    printf("%d %d %d %d\n", uiBuild(0, K_UIPORT, 1, 1), uiSite(0, 1), uiGetSite(0), ipcTarget(0, 0));
    return 0;
}
"#;

fn code(result: Result<i32, KError>) -> i32 {
    result.unwrap_or_else(KError::code)
}

#[test]
fn nc_007_and_008_and_009_and_010_and_147_and_148_c_and_rust_agree() {
    if Command::new("gcc").arg("--version").output().is_err() {
        eprintln!("skipped: there is no gcc");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("library");
    std::fs::create_dir_all(&folder).unwrap();
    let (source, program) = (folder.join("names.c"), folder.join("names"));
    std::fs::write(&source, PROGRAM).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../actors/runtime/include");
    let built = Command::new("gcc")
        .args(["-O1", "-Wall", "-Werror", "-Wno-unused-function", "-I"])
        .args([&include, Path::new("-o"), &program, &source])
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let group = KnUniqueId::static_group(false, 7);
    let names = [
        KnUniqueId::NULL,
        KnUniqueId::of_site(7).unwrap(),
        KnUniqueId::well_known_port(8191, 16),
        KnUniqueId::from_fields(3, UiType::Port, 0x3fff, 9),
        group,
        group.with_mode(K_FUNCXMODE).unwrap(),
        KnUniqueId::from_fields(3, UiType::Group, 5, 7),
        KnUniqueId::from_word(0x000c_0001_0000_0001),
    ];
    let numbers = [
        (0, 0, 0, -1),
        (1, 1, 0, 0),
        (2, 8191, UI_STAMP_MAX, 1),
        (2, 8192, 1, 2),
        (2, 1, UI_STAMP_MAX + 1, 3),
        (3, 0, 7, 4),
        (3, 1, 7, 9),
        (7, 1, 7, i32::MIN),
    ];
    let (mut input, mut expected) = (String::new(), String::new());
    for a in names {
        for b in names {
            for (kind, site, stamp, mode) in numbers {
                let words = [a.ui_head, a.ui_tail, b.ui_head, b.ui_tail].map(|w| format!("{w:x}"));
                writeln!(input, "{} {kind} {site} {stamp} {mode}", words.join(" ")).unwrap();
                let made_on = code(a.made_on().map(i32::from));
                let same = i32::from(a.same(b));
                writeln!(expected, "{} {same} {made_on}", i32::from(a.is_valid())).unwrap();
                let mut show = |name, result: Result<KnUniqueId, KError>| {
                    let (result, ui) = (code(result.map(|_| K_OK)), result.unwrap_or(a));
                    writeln!(expected, "{name} {result} {:016x}", ui.word()).unwrap();
                };
                show("build", KnUniqueId::build(kind, site, stamp));
                show("site", KnUniqueId::of_site(site));
                show("target", a.with_mode(mode));
                show("clear", Ok(KnUniqueId::NULL));
            }
        }
    }
    writeln!(expected, "{K_EFAULT} {K_EFAULT} {K_EFAULT} {K_EFAULT}").unwrap();
    let file = folder.join("input");
    std::fs::write(&file, input).unwrap();
    let run = Command::new(&program)
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&run.stdout);
    for (line, (got, wanted)) in printed.lines().zip(expected.lines()).enumerate() {
        assert_eq!(got, wanted, "line {line}");
    }
    assert_eq!(printed.lines().count(), expected.lines().count());
}
