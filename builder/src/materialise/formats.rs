//! Formats of outputs, as the job that writes them knows them.

use std::fs::File;

use goldsmith_images::disk::layout::DiskLayout;
use goldsmith_images::disk::sink::{
    Compression, DiskSink, FixedVhdSink, ImageIdentity, Qcow2Options, Qcow2Sink, RawSink, VdiSink,
    VhdSink, VhdxSink, VmdkOptions, VmdkSink, VmdkStreamSink,
};
use serde::{Deserialize, Serialize};

use crate::request::{Codec, FormatOptions, ImageType, Request};

/// One output to write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    /// Its format.
    pub kind: ImageType,
    /// Its file's name.
    pub name: String,
    /// How qcow2 clusters are compressed.
    pub codec: Codec,
    /// How disks of other formats are written.
    pub formats: FormatOptions,
}

impl Output {
    /// An output of a request.
    pub fn new(request: &Request, kind: ImageType) -> Self {
        let stem = request.output.file_name().unwrap_or_default().to_string_lossy();
        Self {
            kind,
            name: format!("{stem}.{}", kind.ending()),
            codec: request.codec,
            formats: request.formats.clone(),
        }
    }

    /// A plain archive that nobody will see.
    pub fn archive() -> Self {
        Self {
            kind: ImageType::Tar,
            name: String::new(),
            codec: Codec::None,
            formats: FormatOptions::default(),
        }
    }

    /// Whether the disk must be written from its beginning to its end.
    pub fn is_stream(&self) -> bool {
        self.kind == ImageType::Vmdk && self.formats.vmdk_stream
    }
}

/// Whether a raw disk has to be written for outputs that are made from one.
pub fn needs_scratch(outputs: &[Output]) -> bool {
    outputs.iter().any(Output::is_stream)
        && outputs.iter().all(|output| output.kind != ImageType::Raw)
}

/// A sink for the disk of `layout` in the output's format.
///
/// # Errors
///
/// When the file cannot be written, or the format holds no disk of that size.
pub fn disk_sink(
    output: &Output,
    file: File,
    layout: &DiskLayout,
) -> std::io::Result<Box<dyn DiskSink>> {
    let size = layout.size_bytes;
    let file = fs_err::File::from_parts(file, format!("the {} file", output.kind.name()));
    let identity = ImageIdentity::of(layout, &output.name);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let vmdk = VmdkOptions {
        adapter: output.formats.vmdk_adapter.clone(),
        hardware: output.formats.vmdk_hardware,
    };
    Ok(match output.kind {
        ImageType::Qcow2 => {
            let compression = match output.codec {
                Codec::None => Compression::None,
                Codec::Zlib => Compression::Zlib { level: 6 },
                Codec::Zstd => Compression::Zstd { level: 3 },
            };
            Box::new(Qcow2Sink::new(file, size, &Qcow2Options { compression, threads })?)
        }
        ImageType::Vhd if output.formats.vhd_fixed => {
            Box::new(FixedVhdSink::new(file, size, &identity)?)
        }
        ImageType::Vhd => Box::new(VhdSink::new(file, size, &identity)?),
        ImageType::Vhdx => Box::new(VhdxSink::new(file, size, &identity)?),
        ImageType::Vmdk if output.formats.vmdk_stream => {
            Box::new(VmdkStreamSink::new(file, size, &identity, &vmdk, threads)?)
        }
        ImageType::Vmdk => Box::new(VmdkSink::new(file, size, &identity, &vmdk)?),
        ImageType::Vdi => Box::new(VdiSink::new(file, size, &identity)?),
        ImageType::Raw => Box::new(RawSink::new(file, size)?),
        ImageType::Tar
        | ImageType::Tgz
        | ImageType::TarZst
        | ImageType::Squashfs
        | ImageType::Aci
        | ImageType::Oci
        | ImageType::OciDir
        | ImageType::Docker => return Err(std::io::ErrorKind::InvalidInput.into()),
    })
}
