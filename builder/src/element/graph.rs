//! Draws what a list of elements brings along.

use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};

use super::ElementGraph;
use crate::error::{Failure, Kind, Result};

/// The graph in the language of Graphviz: an edge from each element to what it needs, dashed
/// to who provides a virtual name; boxes for elements that were asked for.
pub fn dot(graph: &ElementGraph, wanted: &[String]) -> String {
    let mut text = "digraph elements {\n".to_owned();
    for element in &graph.elements {
        let shape = if wanted.contains(&element.name) { "box" } else { "ellipse" };
        text.push_str(&format!("  \"{}\" [shape={shape}];\n", element.name));
    }
    for element in &graph.elements {
        for dep in element.deps.iter().filter(|dep| **dep != element.name) {
            if graph.get(dep).is_some() {
                text.push_str(&format!("  \"{}\" -> \"{dep}\";\n", element.name));
                continue;
            }
            let provider = graph.elements.iter().find(|other| other.provides.contains(dep));
            if let Some(provider) = provider.filter(|provider| provider.name != element.name) {
                text.push_str(&format!(
                    "  \"{}\" -> \"{}\" [style=dashed, label=\"{dep}\"];\n",
                    element.name, provider.name
                ));
            }
        }
    }
    text.push_str("}\n");
    text
}

/// Lays a graph out as a picture.
///
/// # Errors
///
/// When the text is no graph.
pub fn svg(dot: &str) -> Result<String> {
    let parsed = DotParser::new(dot).process();
    let parsed =
        parsed.map_err(|error| Failure::new(Kind::Internal, format!("the graph: {error}")))?;
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&parsed);
    let mut picture = builder.get();
    let mut writer = SVGWriter::new();
    picture.do_it(false, false, false, &mut writer);
    Ok(writer.finalize())
}

#[cfg(test)]
mod tests {
    use super::super::Element;
    use super::*;

    fn element(name: &str, deps: &[&str], provides: &[&str]) -> Element {
        let own = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let path = format!("/e/{name}").into();
        Element { name: name.into(), path, entry: 0, deps: own(deps), provides: own(provides) }
    }

    #[test]
    fn edges_lead_to_needs_and_providers() {
        let elements = vec![
            element("vm", &["layout", "vm", "base"], &[]),
            element("mbr", &[], &["layout"]),
            element("base", &[], &[]),
        ];
        let graph = ElementGraph { elements, search_path: Vec::new() };
        let text = dot(&graph, &["vm".into(), "mbr".into()]);
        assert!(text.contains("\"vm\" [shape=box]") && text.contains("\"base\" [shape=ellipse]"));
        assert!(text.contains("\"vm\" -> \"mbr\" [style=dashed, label=\"layout\"]"));
        assert!(text.contains("\"vm\" -> \"base\";") && !text.contains("\"vm\" -> \"vm\""));
        let picture = svg(&text).unwrap();
        assert!(picture.starts_with("<?xml") && picture.contains("mbr"), "{picture}");
    }
}
