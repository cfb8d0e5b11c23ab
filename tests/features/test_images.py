"""Images: what is read, and that TensorFlow and the plain form see the very same pixels."""

import io
import tracemalloc
import zlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.features import pixels, png
from components.features.image import Image
from components.features.image_tf import ImageGraph
from components.features.pixels import Pixels, decoded, resized
from components.features.png import ImageError, refusal
from tests.features.pictures import KINDS, assembled, header, interlaced, picture, pictures

GREY8 = (png.GREY, 8)
WHOLE = picture(GREY8, 9, 7)
FORMS = [(7, 9, 1), (5, 5, 1), (16, 4, 3), (28, 28, 3)]
"""Heights, widths and channels; graphs of them are traced once."""


def image(shape: tuple[int, int, int]) -> Image:
    return Image(name="it", column="photo", height=shape[0], width=shape[1], channels=shape[2])


@pytest.fixture(scope="module")
def graphs():
    signature = [{"photo": tf.TensorSpec([None], tf.string)}]
    made = {shape: ImageGraph(image(shape)) for shape in FORMS}
    return {shape: tf.function(graph.__call__, input_signature=signature) for shape, graph in made.items()}


def of_graph(graph, contents: list[bytes]) -> np.ndarray:
    return graph({"photo": tf.constant(contents, tf.string)}).numpy()


@pytest.mark.parametrize("shape", FORMS)
@settings(max_examples=40)
@given(contents=st.lists(pictures | st.just(b""), max_size=3))
def test_both_forms_give_the_same_bytes(graphs, shape, contents) -> None:
    plain = Pixels(image(shape))(contents)
    assert plain.shape == (len(contents), *shape)
    assert plain.dtype == np.uint8
    np.testing.assert_array_equal(of_graph(graphs[shape], contents), plain)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("transparent", [False, True])
def test_every_kind_of_image_is_the_same_in_both_forms(graphs, kind, transparent) -> None:
    contents = [picture(kind, 9, 7, 1, transparent), picture(kind, 30, 20, 2, transparent, entries=3)]
    for shape in ((7, 9, 1), (28, 28, 3)):
        np.testing.assert_array_equal(of_graph(graphs[shape], contents), Pixels(image(shape))(contents))


def test_interlaced_images_are_read(graphs) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9), np.uint8)
    content = interlaced(pixels)
    np.testing.assert_array_equal(Pixels(image((7, 9, 1)))([content])[0, :, :, 0], pixels)
    np.testing.assert_array_equal(of_graph(graphs[(7, 9, 1)], [content])[0, :, :, 0], pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_what_pillow_writes_is_read_as_pillow_reads_it(mode) -> None:
    random = np.random.default_rng(0)
    original = PIL.Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).convert(mode)
    content = io.BytesIO()
    original.save(content, "PNG")
    expected = np.asarray(original.convert("RGB"))
    np.testing.assert_array_equal(decoded(png.read(content.getvalue()), 3), expected)


def test_the_right_size_is_left_alone_and_a_missing_image_is_black() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    read = Pixels(image((6, 5, 3)))([png.encode(pixels), None, b""])
    np.testing.assert_array_equal(read[0], pixels)
    assert not read[1:].any()


def test_transparent_parts_become_black() -> None:
    rgba = np.array([[[255, 100, 0, 255], [255, 100, 0, 128], [255, 100, 0, 0]]], np.uint8)
    assert decoded(png.read(png.encode(rgba)), 3).tolist() == [[[255, 100, 0], [128, 50, 0], [0, 0, 0]]]
    assert decoded(png.read(png.encode(rgba)), 1).ravel().tolist() == [135, 68, 0]


@pytest.mark.parametrize("size", [(40, 60), (10, 7), (28, 28), (3, 200)])
def test_resizing_is_what_pillow_calls_bilinear(size) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (33, 47), np.uint8)
    expected = np.asarray(PIL.Image.fromarray(pixels).resize(size[::-1], PIL.Image.Resampling.BILINEAR))
    found = resized(pixels[..., None], *size)[..., 0]
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_flat_image_stays_flat_at_any_size() -> None:
    for value in (0, 1, 127, 255):
        assert (resized(np.full((13, 300, 1), value, np.uint8), 28, 28) == value).all()


def bad(kind: bytes = b"IDAT", body: bytes = b"", head: bytes | None = None) -> bytes:
    return assembled((b"IHDR", head or header(9, 7)), (kind, body), (b"IEND", b""))


def early_transparency() -> bytes:
    """libpng forgets it."""
    content = picture((png.PALETTE, 8), 9, 7, transparent=True, entries=5)
    before = content.index(b"PLTE") - 4
    middle, end = content.index(b"tRNS") - 4, content.index(b"IDAT") - 4
    return content[:before] + content[middle:end] + content[before:middle] + content[end:]


ROWS = bytes(70)
REFUSED = {
    "text": (b"hello", "no PNG"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(50), "no PNG"),
    "only the signature": (png.SIGNATURE, "cut off"),
    "cut in the middle": (WHOLE[: len(WHOLE) // 2], "cut off"),
    "without its end": (WHOLE[:-12], "cut off"),
    "a flipped bit": (WHOLE[:50] + bytes([WHOLE[50] ^ 1]) + WHOLE[51:], "damaged"),
    "too few rows": (bad(body=zlib.compress(ROWS[:50])), "damaged"),
    "too many rows": (bad(body=zlib.compress(ROWS * 2)), "damaged"),
    "no zlib": (bad(body=b"nothing of that sort"), "damaged"),
    "an unknown filter": (bad(body=zlib.compress(b"\5" + ROWS[1:])), "damaged"),
    "no data": (bad(b"tEXt"), "damaged"),
    "an unknown critical chunk": (bad(b"ABCD"), "damaged"),
    "no palette": (bad(body=zlib.compress(ROWS), head=header(9, 7, colour=png.PALETTE)), "damaged"),
    "no such colour": (bad(head=header(9, 7, colour=5)), "damaged"),
    "16 bits": (bad(head=header(9, 7, depth=16)), "16 bits"),
    "no pixels": (bad(body=b"x", head=header(0, 7)), "damaged"),
    "too wide": (bad(body=b"x", head=header(2**14, 7)), "more than 8192 pixels on a side"),
    "too many pixels": (bad(body=b"x", head=header(2**12, 2**12)), "4194304 in all"),
    "too many bytes": (WHOLE + bytes(2**22), "more than 4194304 bytes"),
    "too many chunks": (WHOLE[:33] + png.chunk(b"tEXt", b"") * 2**13 + WHOLE[33:], "more than 8192 chunks"),
    "transparency before the palette": (early_transparency(), "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_reason(name) -> None:
    content, reason = REFUSED[name]
    assert reason in (refusal(content) or "")
    with pytest.raises(ImageError, match=reason):
        Pixels(image((7, 9, 1)))([WHOLE, content])


GRAPH_DECODES = {"too many rows", "too many chunks", "transparency before the palette"}
"""What is refused before TensorFlow sees it, but TensorFlow alone would decode, as in a SavedModel."""


@pytest.mark.parametrize("name", REFUSED)
def test_the_graph_refuses_it_too_or_is_known_not_to(graphs, name) -> None:
    contents = [WHOLE, REFUSED[name][0]]
    if name in GRAPH_DECODES:
        assert of_graph(graphs[(7, 9, 1)], contents).shape == (2, 7, 9, 1)
    else:
        with pytest.raises(tf.errors.InvalidArgumentError):
            of_graph(graphs[(7, 9, 1)], contents)


def test_a_small_file_cannot_unfold_to_much() -> None:
    """64 MiB of zeros in 64 KiB: they are inflated to one byte more than the header promises."""
    content = bad(body=zlib.compress(bytes(2**26)))
    tracemalloc.start()
    assert refusal(content) == "is a damaged PNG image"
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20


def test_weights_of_large_images_are_not_kept() -> None:
    """Their size is the client's choice, and 32 of them could be gigabytes."""
    resized(np.zeros((2048, 2, 1), np.uint8), 512, 2)
    kept = pixels._kept_weights.cache_info().currsize
    for rows in range(2049, 2059):
        resized(np.zeros((rows, 2, 1), np.uint8), 512, 2)
    assert pixels._kept_weights.cache_info().currsize == kept


def test_the_size_is_told_by_the_first_bytes() -> None:
    assert png.pixels(picture(GREY8, 30, 20)[:30]) == 600


@settings(max_examples=300)
@given(content=pictures, place=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.booleans())
def test_any_damage_is_either_refused_or_does_not_matter(content, place, value, cut) -> None:
    """One wrong byte, or a wrong length: nothing else is ever raised, and what is read is what was meant."""
    place %= len(content)
    damaged = content[:place] + (b"" if cut else bytes([value]) + content[place + 1 :])
    if refusal(damaged) is None:
        np.testing.assert_array_equal(decoded(png.read(damaged), 3), decoded(png.read(content), 3))


@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(content) -> None:
    assert refusal(content)
    assert refusal(png.SIGNATURE + content)


def test_the_server_loads_pillow_only_for_images() -> None:
    import subprocess
    import sys

    code = "import sys, components.features.transform; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
