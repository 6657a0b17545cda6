//! `chorus up` and `chorus run`: starting a cluster, here, in the background, or in the emulated host.
//!
//! The plan is made first. Then the process that owns the cluster is this one (`up`, `run` on KVM), a child that leaves the
//! terminal (`up -d`), or one in the emulated host; whichever it is, it gets the same plan.

use super::args::{HostArg, RunArgs, Shape, UpArgs};
use super::context::Context;
use super::{output, progress, shape};
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::interrupt::Interrupt;
use crate::cluster::plan::Plan;
use crate::cluster::runtime::{Claim, Runtime};
use crate::cluster::topology::{ActorSpec, Kind, PRIORITY_DEFAULT, to_toml};
use crate::cluster::{images, machines, process};
use crate::host::emulated::{self, Job};
use crate::host::{Backend, Choice};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

impl From<HostArg> for Choice {
    fn from(host: HostArg) -> Choice {
        match host {
            HostArg::Auto => Choice::Auto,
            HostArg::Kvm => Choice::Kvm,
            HostArg::Emulated => Choice::Emulated,
        }
    }
}

/// A host's failure as a command's.
fn host_failure(error: &crate::host::HostError) -> Failure {
    let status = Status::ALL
        .into_iter()
        .find(|status| status.code() == error.exit_code());
    Failure::new(status.unwrap_or(Status::Host), error.to_string())
}

/// Takes the back end. Errors: status 5 with what to install.
fn backend(shape: &Shape) -> Outcome<Backend> {
    let choice = if shape.deterministic && !crate::host::inside() {
        Choice::Emulated
    } else {
        shape.host.into()
    };
    if shape.deterministic && shape.host == HostArg::Kvm {
        return Err(Failure::usage(
            "--deterministic needs the emulated host, not --host kvm",
        ));
    }
    crate::host::resolve(choice).map_err(|error| host_failure(&error))
}

/// `chorus up`.
pub fn up(context: &Context, args: &UpArgs) -> Outcome<u8> {
    if args.wait && !args.detach {
        return Err(Failure::usage("--wait goes with -d")
            .hint("without -d the command stays and prints the log"));
    }
    if args.detach && args.shape.deterministic {
        return Err(Failure::usage(
            "--deterministic runs have no control socket; leave out -d",
        ));
    }
    let mut plan = shape::plan(context, &args.shape, "default")?;
    plan.join_timeout = shape::seconds("--timeout", args.timeout)?;
    plan.print_log = !args.detach;
    if args.paused {
        plan.paused = true;
        plan.join_timeout = shape::NO_LIMIT;
    }
    if args.shape.dry_run {
        return dry_run(context, &plan);
    }
    let runtime = Runtime::of(&plan.topology.cluster.name)?;
    let backend = backend(&args.shape)?;
    if args.detach {
        return detach(context, &plan, &runtime, args.shape.host, args.wait).map(|()| 0);
    }
    own(context, plan, &runtime, backend, args.shape.deterministic)
}

/// `chorus run`.
pub fn run(context: &Context, args: &RunArgs) -> Outcome<u8> {
    // The name is among the inputs of a deterministic run, so it is the same in each.
    let name = match args.shape.deterministic {
        true => "run".to_owned(),
        false => format!("run-{}", std::process::id()),
    };
    let mut plan = shape::plan(context, &args.shape, &name)?;
    if let Some((image, rest)) = args.actor.split_first() {
        let image = images::find(image, plan.actor_dir.as_deref())?;
        let site = sites_of(&plan, &args.on)?;
        let kind = match args.kind {
            super::args::KindArg::User => Kind::User,
            super::args::KindArg::System => Kind::System,
            super::args::KindArg::Supervisor => Kind::Supervisor,
        };
        let name = images::default_name(&image);
        let actor = ActorSpec {
            name,
            image,
            site,
            kind,
            priority: PRIORITY_DEFAULT,
            args: rest.to_vec(),
        };
        plan.topology.actor.push(actor);
    }
    if plan.topology.actor.is_empty() {
        let failure = Failure::usage("run needs an actor, or a topology with [[actor]]s");
        return Err(failure.hint("for example: chorus run -n 4 hello"));
    }
    plan.until_ended = true;
    plan.run_timeout = args
        .timeout
        .map(|limit| shape::seconds("--timeout", limit))
        .transpose()?;
    plan.join_timeout = plan.run_timeout.unwrap_or(plan.join_timeout);
    if args.shape.dry_run {
        return dry_run(context, &plan);
    }
    let runtime = Runtime::of(&plan.topology.cluster.name)?;
    let backend = backend(&args.shape)?;
    own(context, plan, &runtime, backend, args.shape.deterministic)
}

/// The sites that `--on` names.
fn sites_of(plan: &Plan, on: &str) -> Outcome<Vec<u16>> {
    if on == "all" {
        return Ok(plan.topology.site.iter().map(|site| site.number).collect());
    }
    let site = plan.topology.find_site(on).map(|site| vec![site.number]);
    site.ok_or_else(|| Failure::usage(format!("--on {on}: there is no such site")))
}

fn dry_run(context: &Context, plan: &Plan) -> Outcome<u8> {
    context.say("would start this cluster:");
    output::text(&to_toml(&plan.topology)).map(|()| 0)
}

/// Owns the cluster: in this process on KVM, through the emulated host otherwise.
fn own(
    context: &Context,
    plan: Plan,
    runtime: &Runtime,
    backend: Backend,
    deterministic: bool,
) -> Outcome<u8> {
    match backend {
        Backend::Kvm => {
            let interrupt = Interrupt::install()?;
            let claim = runtime.claim()?;
            let watch = progress::watch(context, runtime);
            let code = own_here(context, plan, &claim, &interrupt);
            drop(claim);
            watch.finish();
            code
        }
        Backend::Emulated => {
            let claim = runtime.claim()?;
            let watch = progress::watch(context, runtime);
            let code = own_emulated(&plan, &claim, deterministic);
            watch.finish();
            code
        }
    }
}

fn own_here(context: &Context, plan: Plan, claim: &Claim, interrupt: &Interrupt) -> Outcome<u8> {
    let machines = machines::on_kvm(&plan)?;
    let (times, color) = (context.verbose > 0, context.color_out());
    let print: Option<process::Print> = plan.print_log.then(|| {
        let print = move |line: &crate::cluster::control::LogLine| {
            super::logs::print(line, super::logs::Sort::Output, times, true, color)
        };
        Box::new(print) as process::Print
    });
    process::run(plan, claim, interrupt, machines, print)
}

/// Where the plan stands inside the emulated host.
const INNER_PLAN: &str = "/run/chorus-plan.json";

fn own_emulated(plan: &Plan, claim: &Claim, deterministic: bool) -> Outcome<u8> {
    let runtime = claim.runtime();
    runtime.write("cluster.json", &plan.to_json()?)?;
    let carried = plan.files().into_iter().map(|path| (path.clone(), path));
    let files = carried
        .chain([(PathBuf::from(INNER_PLAN), runtime.record())])
        .collect();
    let sites = plan.topology.site.len() as u64;
    let mib = plan.topology.total_mem() >> 20;
    let job = Job {
        args: ["cluster-process", INNER_PLAN]
            .into_iter()
            .map(Into::into)
            .collect(),
        env: [(
            "XDG_RUNTIME_DIR".into(),
            crate::cluster::runtime::base().into(),
        )]
        .into(),
        folder: Some("/".into()),
        files,
        mirrors: vec![runtime.folder().to_owned()],
        deterministic,
        memory_mib: Some((512 + sites * 4 + mib).clamp(1024, 8192)),
        ..Job::default()
    };
    let status = emulated::run(&job).map_err(|error| host_failure(&error))?;
    Ok(emulated::exit_code(status))
}

/// `chorus cluster-process`: owns the cluster of a plan that another process made. Inside the emulated host the output goes
/// where the command's does; in the background it goes nowhere, and the log is read through the control socket.
pub fn cluster_process(context: &Context, path: &Path) -> Outcome<u8> {
    let (plan, host) = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin()
            .lock()
            .take(64 << 20)
            .read_to_end(&mut bytes);
        read.map_err(|error| {
            Failure::failed(format!("stdin: {}", crate::cluster::reason(&error)))
        })?;
        // The child of `up -d` leaves its terminal; one that leads a session already may stay there.
        let _ = rustix::process::setsid();
        (Plan::from_json(&bytes)?, host_of_environment())
    } else {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|error| {
            Failure::bad_file(format!(
                "{}: {}",
                path.display(),
                crate::cluster::reason(&error)
            ))
        })?;
        (Plan::from_json(&bytes)?, Choice::Kvm)
    };
    // The inner machine has only the runtime folder's name, not the folder.
    if crate::host::inside() {
        let base = crate::cluster::runtime::base();
        std::fs::create_dir_all(&base).map_err(|error| {
            Failure::host(format!(
                "{}: {}",
                base.display(),
                crate::cluster::reason(&error)
            ))
        })?;
    }
    let context = context.of_plan(plan.verbose);
    let runtime = Runtime::of(&plan.topology.cluster.name)?;
    let backend = crate::host::resolve(host).map_err(|error| host_failure(&error))?;
    own(&context, plan, &runtime, backend, false)
}

/// Carries `--host` from `up -d` to its child.
const HOST_VARIABLE: &str = "CHORUS_HOST";

fn host_of_environment() -> Choice {
    std::env::var(HOST_VARIABLE)
        .ok()
        .and_then(|word| word.parse().ok())
        .unwrap_or_default()
}

/// Starts the owner in the background, and stays until it has started, or (`wait`) until all sites have joined.
fn detach(
    context: &Context,
    plan: &Plan,
    runtime: &Runtime,
    host: HostArg,
    wait: bool,
) -> Outcome<()> {
    let failed = |error: std::io::Error| {
        Failure::host(format!(
            "the background process: {}",
            crate::cluster::reason(&error)
        ))
    };
    // What the child says on stderr before its end is kept without a name in any folder, so that nothing is left behind.
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let said =
        rustix::fs::memfd_create("chorus-stderr", flags).map_err(|error| failed(error.into()))?;
    let mut said = std::fs::File::from(said);
    let interrupt = Interrupt::install()?;
    let mut child = Command::new("/proc/self/exe")
        .args(["cluster-process", "-"])
        .env(HOST_VARIABLE, Choice::from(host).to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(said.try_clone().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let given = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(&plan.to_json()?),
        None => Ok(()),
    };
    // A child that ended before it read its plan says why below.
    let _ = given;
    let outcome = progress::until_up(context, runtime, &mut child, &interrupt, wait);
    match outcome {
        Ok(()) => {
            let name = runtime.name();
            let option = if name == "default" {
                String::new()
            } else {
                format!(" --name {name}")
            };
            context.say(&format!(
                "cluster {name} is up; next: chorus{option} ps, logs, console, exec, down"
            ));
            Ok(())
        }
        Err(progress::NotUp::Ended(status)) => {
            let mut text = String::new();
            let _ = said.rewind().and_then(|()| said.read_to_string(&mut text));
            let code = emulated::exit_code(status);
            let status = Status::ALL
                .into_iter()
                .find(|status| status.code() == code)
                .unwrap_or(Status::Failed);
            let text = if text.trim().is_empty() {
                format!("the background process ended with status {code}")
            } else {
                text.trim_end().to_owned()
            };
            let verbatim = text.starts_with("error");
            Err(Failure {
                verbatim,
                ..Failure::new(status, text)
            })
        }
        Err(progress::NotUp::Failed(failure)) => {
            stop(&mut child);
            Err(failure)
        }
    }
}

/// Ends the background process as Ctrl-C would.
fn stop(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let _ = child.wait();
}
