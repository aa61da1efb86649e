from __future__ import annotations

from sentry_proto import layout


def test_a_second_has_100_to_250_named_values() -> None:
    names = [feature.name for feature in layout.SECOND_FEATURES]
    assert 100 <= len(names) <= 250
    assert len(set(names)) == len(names)


def test_every_value_has_a_unit_a_range_and_a_known_modality() -> None:
    table: list[layout.FrameFeature | layout.SecondFeature] = [*layout.FRAME_FEATURES, *layout.SECOND_FEATURES]
    for feature in table:
        assert feature.unit
        assert feature.low < feature.high
        assert feature.modality in layout.MODALITIES


def test_spread_and_range_start_at_zero_and_span_the_source() -> None:
    spread = layout.SECOND_FEATURES[layout.SECOND_INDEX["head_yaw_spread"]]
    assert (spread.low, spread.high, spread.unit) == (0.0, 180.0, "deg")


def test_the_layout_id_is_the_fingerprint_of_the_table() -> None:
    assert layout.layout_id() == layout.LAYOUT_ID
    assert len(layout.LAYOUT_ID) == 12
