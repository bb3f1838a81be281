//! Bar charts of the medians, with whiskers from the lowest to the highest run.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Result, anyhow};
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::compare::{
    options::{Flavour, Program},
    report::{Outcome, digits, progress},
    statistics::Spread,
};

const HEIGHT: u32 = 460;
const MARGIN: u32 = 120;
const WIDTH_OF_A_ROW: u32 = 170;
/// The share of a row's width that its bars fill.
const FILLED: f64 = 0.84;
/// The axis reaches above the highest bar by this factor, so that the legend has room.
const HEADROOM: f64 = 1.3;
const FONT: &str = "sans-serif";

/// Writes a chart for each flavour and unit: only numbers of one unit can share an axis.
pub(crate) fn write(outcomes: &[Outcome], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut charts = BTreeMap::<(Option<Flavour>, &str), Vec<&Outcome>>::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.error.is_none()) {
        charts.entry((outcome.flavour, outcome.row.unit)).or_default().push(outcome);
    }
    for ((flavour, unit), rows) in charts {
        let flavour = flavour.map_or("builds", Flavour::name);
        let file = folder.join(format!("{flavour}-{}.svg", file_name(unit)));
        fs::write(&file, chart(&format!("{unit}, {flavour}"), &rows)?)?;
        progress(&format!("wrote {}", file.display()));
    }
    Ok(())
}

/// A unit as a part of a file's name.
fn file_name(unit: &str) -> String {
    unit.replace("/s", "-per-s")
        .replace("/GiB", "-per-gib")
        .replace('µ', "u")
        .replace(' ', "-")
        .trim_matches('-')
        .to_lowercase()
}

fn colour(program: Program) -> RGBColor {
    match program {
        Program::Bowline => RGBColor(0x1f, 0x6f, 0xb4),
        Program::RustLibp2p => RGBColor(0xd9, 0x82, 0x2b),
        Program::GoLibp2p => RGBColor(0x3a, 0x9a, 0x8c),
        Program::Limit => RGBColor(0xa6, 0xa6, 0xa6),
    }
}

/// One chart as SVG text.
fn chart(title: &str, rows: &[&Outcome]) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, title, rows).map_err(|error| anyhow!("drawing {title}: {error}"))?;
    Ok(svg)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Bars<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn draw(svg: &mut String, title: &str, rows: &[&Outcome]) -> Drawn {
    let width = MARGIN + WIDTH_OF_A_ROW * u32::try_from(rows.len().max(3))?;
    let area = SVGBackend::with_string(svg, (width, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let spreads = rows.iter().flat_map(|row| Program::ALL.map(|program| row.spread(program))).flatten();
    let top = spreads.map(|spread| spread.highest).fold(0.0, f64::max);
    // An axis from zero to zero cannot be drawn.
    let top = if top > 0.0 { top * HEADROOM } else { 1.0 };
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..rows.len() as f64, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(WHITE)
        .y_label_formatter(&|number| digits(*number))
        .label_style((FONT, 13))
        .draw()?;
    let measured = |program: &Program| rows.iter().any(|row| row.spread(*program).is_some());
    let programs: Vec<_> = Program::ALL.into_iter().filter(measured).collect();
    for (order, program) in programs.iter().enumerate() {
        draw_program(&mut chart, rows, *program, (order, programs.len()))?;
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).border_style(WHITE).draw()?;
    draw_names(&area, &chart, rows)?;
    area.present()?;
    Ok(())
}

/// The bars of one program, and its line in the legend. `turn`: the how-manieth of how many programs it is.
fn draw_program(
    chart: &mut Bars<'_, '_>,
    rows: &[&Outcome],
    program: Program,
    turn: (usize, usize),
) -> Drawn {
    let bars = rows.iter().enumerate().filter_map(|(index, row)| Some((index, row.spread(program)?)));
    let bars: Vec<_> = bars.map(|(index, spread)| (place(index, turn), spread)).collect();
    let fill = colour(program).filled();
    chart
        .draw_series(
            bars.iter()
                .map(|((left, right), spread)| Rectangle::new([(*left, 0.0), (*right, spread.median)], fill)),
        )?
        .label(program.name())
        .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], fill));
    chart.draw_series(
        bars.iter().map(|((left, right), spread)| whisker(f64::midpoint(*left, *right), *spread)),
    )?;
    Ok(())
}

/// The row's names stand below the middle of their bars; an axis would put them at its ticks.
fn draw_names(area: &Area<'_>, chart: &Bars<'_, '_>, rows: &[&Outcome]) -> Drawn {
    for (index, row) in rows.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(index as f64 + 0.5, 0.0));
        let style = (FONT, 14).into_text_style(area).pos(Pos::new(HPos::Center, VPos::Top));
        area.draw(&Text::new(row.row.id, (x, y + 8), style))?;
    }
    Ok(())
}

fn whisker(at: f64, spread: Spread) -> PathElement<(f64, f64)> {
    PathElement::new(vec![(at, spread.lowest), (at, spread.highest)], BLACK.stroke_width(1))
}

/// Where a program's bar of a row begins and ends.
fn place(row: usize, (order, programs): (usize, usize)) -> (f64, f64) {
    let width = FILLED / programs as f64;
    let left = row as f64 + (1.0 - FILLED) / 2.0 + width * order as f64;
    (left, left + width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::rows;

    fn outcome(id: &str, flavour: Flavour, numbers: &[f64]) -> Outcome {
        let mut outcome = Outcome::new(rows::find(id).unwrap(), Some(flavour));
        outcome.numbers.insert(Program::Bowline, numbers.to_vec());
        outcome
    }

    #[test]
    fn each_flavour_and_unit_has_a_chart() {
        let folder = tempfile::tempdir().unwrap();
        let outcomes = [
            outcome("upload", Flavour::Multi, &[900.0, 1_000.0, 1_100.0]),
            outcome("download", Flavour::Multi, &[950.0]),
            outcome("ping", Flavour::Multi, &[40.0]),
            outcome("connect-1", Flavour::OneThread, &[0.0]),
            Outcome::failed(rows::find("open-1").unwrap(), Some(Flavour::Multi), "broken".to_owned()),
        ];
        write(&outcomes, folder.path()).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["multi-mib-per-s.svg", "multi-us.svg", "one-thread-per-s.svg"]);
        let svg = fs::read_to_string(folder.path().join("multi-mib-per-s.svg")).unwrap();
        assert!(svg.contains("<svg") && svg.contains("upload") && svg.contains("Bowline"), "{svg}");
        assert!(!svg.contains("go-libp2p"), "a program that was not measured has no place in the legend");
    }
}
