//! `goldsmith disk`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use goldsmith_images::disk::sink::RawSink;
use goldsmith_images::disk::write_empty;

use super::elements::{Search, catalogue};
use crate::block_device::{self, Inputs, Plan, picture};
use crate::compat::implicit_elements;
use crate::element::resolve;
use crate::error::{Failure, Kind, Result};
use crate::materialise::aside::Aside;
use crate::request::{Request, gib};

/// What can be asked about disks.
#[derive(Debug, Subcommand)]
pub enum DiskVerb {
    /// Show what will be where on the disk: partitions, volumes, file systems
    Plan {
        /// What the layout is taken from
        #[command(flatten)]
        source: LayoutSource,
        /// Size of the disk, as 8GiB; without it what depends on the content has no size yet
        #[arg(long, value_name = "SIZE")]
        size: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a configuration consists of, in the order in which it is made
    Graph {
        /// What the layout is taken from
        #[command(flatten)]
        source: LayoutSource,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print the list form as JSON: each node with its base, without looking whether there is one
        #[arg(long)]
        list: bool,
    },
    /// Write a disk with empty file systems
    Create {
        /// The layout, in YAML
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Size of the disk, as 8GiB, unless the layout says
        #[arg(long, value_name = "SIZE")]
        size: Option<String>,
        /// The disk, a raw one
        #[arg(value_name = "OUTPUT")]
        output: PathBuf,
    },
}

/// A file, or the layout of a list of elements.
#[derive(Debug, Clone, Args)]
pub struct LayoutSource {
    /// The elements whose image the disk is
    #[arg(value_name = "ELEMENT", required_unless_present = "config")]
    elements: Vec<String>,
    /// A layout in YAML, instead of that of elements
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Architecture of the image, as dpkg names it [default: this machine's]
    #[arg(short, long, value_name = "ARCH")]
    arch: Option<String>,
    /// Do not add the element `base`
    #[arg(short = 'n', long)]
    skip_base: bool,
    /// Label of the root file system
    #[arg(long, value_name = "LABEL")]
    root_label: Option<String>,
    /// Where elements are looked for
    #[command(flatten)]
    search: Search,
}

/// What a layout is made from, owned.
struct Found {
    request: Request,
    config: Option<String>,
    elements: Vec<(String, PathBuf)>,
    seed: String,
    /// Options of mke2fs from the environment.
    implied: String,
}

impl LayoutSource {
    fn find(&self, cache: &Path) -> Result<Found> {
        let mut request = super::caller_request()?;
        request.arch = self.arch.clone().unwrap_or(request.arch);
        request.root_label = self.root_label.clone().or(request.root_label);
        let mut config = request.env.get("DIB_BLOCK_DEVICE_CONFIG").cloned();
        if let Some(file) = &self.config {
            config = Some(format!("file://{}", file.display()));
        }
        let (mut elements, mut seed) = (Vec::new(), String::new());
        if !self.elements.is_empty() {
            let catalogue = catalogue(&mut request, &self.search, cache)?;
            request.elements.clone_from(&self.elements);
            request.skip_base = self.skip_base;
            let graph = resolve(&catalogue, &implicit_elements(&request))?;
            seed = block_device::seed(&request.arch, &graph.names());
            elements = graph.elements.iter().map(|e| (e.name.clone(), e.path.clone())).collect();
        }
        let implied = block_device::implied_mkfs_options(&request.env);
        Ok(Found { request, config, elements, seed, implied })
    }
}

impl Found {
    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            config_override: self.config.as_deref(),
            block_size: self.request.env.get("DIB_BLOCK_SIZE").map(String::as_str),
            elements: &self.elements,
            arch: &self.request.arch,
            fs_type: &self.request.fs_type,
            root_label: self.request.root_label.as_deref(),
            journal_mib: self.request.journal_mib,
            mkfs_options: &self.request.mkfs_options,
            implied_mkfs_options: &self.implied,
            seed: &self.seed,
            epoch: 0,
        }
    }

    /// The size in KiB: the user's, or that of a build with `DIB_IMAGE_SIZE`.
    fn size_kib(&self, size: Option<&str>) -> Result<Option<u64>> {
        match size {
            Some(text) => Ok(Some(size_kib(text)?)),
            None => Ok(block_device::explicit_size_kib(
                self.request.image_size_kib,
                self.elements.iter().map(|(name, _)| name.as_str()),
            )),
        }
    }
}

/// A size with a unit; GiB without one, as `--image-size` takes it.
fn size_kib(text: &str) -> Result<u64> {
    let bytes = block_device::size_bytes(text);
    let kib = match bytes {
        Ok(_) if text.chars().all(|c| c.is_ascii_digit() || c == '.') => gib(text),
        Ok(bytes) => Some(bytes.div_ceil(1024)),
        Err(_) => None,
    };
    kib.filter(|kib| *kib > 0).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("--size: {text:?} is no size of a disk"))
            .hint("write 8GiB, 500MB or, in GiB, 8")
    })
}

/// Runs the verb.
///
/// # Errors
///
/// When the layout is wrong, does not fit or, for `create`, the disk cannot be written.
pub fn run(verb: &DiskVerb, cache: &Path) -> Result<u8> {
    match verb {
        DiskVerb::Plan { source, size, json } => {
            let found = source.find(cache)?;
            let plan = Plan::load(&found.inputs())?;
            let disks = plan.show(found.size_kib(size.as_deref())?)?;
            let text = if *json {
                let value = serde_json::json!({
                    "disks": disks, "fstab": plan.fstab(), "warnings": plan.warnings(),
                });
                format!("{value:#}\n")
            } else {
                warn(&plan);
                format!("{}\n/etc/fstab\n{}", picture::text(&disks), plan.fstab())
            };
            crate::report::print(&text);
        }
        DiskVerb::Graph { source, json, list } => {
            let found = source.find(cache)?;
            let text = match (*list, *json) {
                (true, _) => format!("{:#}\n", block_device::list_form(&found.inputs())?),
                (_, true) => format!("{:#}\n", block_device::graph(&found.inputs())?.json()),
                _ => block_device::graph(&found.inputs())?.text(),
            };
            crate::report::print(&text);
        }
        DiskVerb::Create { config, size, output } => create(config, size.as_deref(), output)?,
    }
    Ok(0)
}

fn warn(plan: &Plan) {
    for warning in plan.warnings() {
        crate::report::pass(format!("warning: {warning}").as_bytes(), true);
    }
}

fn create(config: &Path, size: Option<&str>, output: &Path) -> Result<()> {
    let request = super::caller_request()?;
    let block_size = request.env.get("DIB_BLOCK_SIZE").map(String::as_str);
    let plan = Plan::read(config, &Inputs { block_size, ..block_device::plain_inputs() })?;
    warn(&plan);
    let size = size.map(size_kib).transpose()?;
    let size = plan.own_size_kib().or(size).ok_or_else(|| {
        Failure::new(Kind::Usage, "the layout gives its disk no size").hint("--size gives one")
    })?;
    let mut disks = vec![(request.cwd.join(output), plan.layout(size)?)];
    for other in plan.other_disks(size)? {
        let directory = request.cwd.join(&other.directory);
        disks.push((directory.join(format!("{}.raw", other.name)), other.layout));
    }
    for (path, layout) in disks {
        let failed =
            |error: &dyn std::error::Error| Failure::wrap(Kind::Host, path.display(), error);
        let aside = Aside::new(&path).map_err(|error| failed(&error))?;
        let file = fs_err::OpenOptions::new().read(true).write(true).open(aside.path());
        let file = file.map_err(|error| failed(&error))?;
        let mut sink = RawSink::new(file, layout.size_bytes).map_err(|error| failed(&error))?;
        write_empty(&layout, &mut sink).map_err(|error| failed(&error))?;
        aside.sync().and_then(|()| aside.persist(&path)).map_err(|error| failed(&error))?;
    }
    Ok(())
}
