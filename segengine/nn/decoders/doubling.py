"""Decoders that upsample by 2 per level up to stride 1: U-Net, U-Net++, MA-Net, LinkNet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.decoders.linknet.decoder import LinknetDecoder
from segmentation_models_pytorch.decoders.manet.decoder import MAnetDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
from torch import Tensor, nn

from segengine.errors import SpecError
from segengine.nn.batch_norm import with_safe_batch_norm
from segengine.nn.decoders.pyramid import Pyramid, pyramid
from segengine.nn.recomputing import recompute_whole
from segengine.nn.sparing import SparingBlock


class DoublingDecoder(nn.Module):
    """List of feature maps -> [B, out_channels, H, W], with one of smp's decoders on a complete pyramid.

    smp's decoders discard the first level, which is the image in smp. If the backbone has a map at stride 1, an empty level is
    inserted before it, so that the map is used as the last skip connection.
    """

    stride = 1

    def __init__(self, levels: Pyramid, core: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.pyramid = levels
        self.core = with_safe_batch_norm(core)
        self.out_channels = out_channels
        initialize_decoder(self.core)

    def forward(self, features: list[Tensor]) -> Tensor:
        levels, (height, width) = self._levels(features)
        x: Tensor = self.core(levels)
        return x[..., :height, :width]

    def recompute_stages(self) -> None:
        """Enable gradient checkpointing: only inputs and outputs of blocks are stored."""
        assert isinstance(self.core.blocks, nn.Module)
        for block in self.core.blocks.children():
            if isinstance(block, SparingBlock):
                block.sparing = False
            recompute_whole(block)

    def _levels(self, features: list[Tensor]) -> tuple[list[Tensor], tuple[int, int]]:
        levels, size = self.pyramid.levels(features)
        return ([levels[0][:, :0], *levels] if self.pyramid.full_size else levels), size


class DenseDecoder(DoublingDecoder):
    """U-Net++ with access to its nodes at the finest level with a skip connection, for deep supervision (Zhou et al., 2018).

    `inner_channels` are the channels of these nodes, from the shallowest to the deepest. The finest level is that of the
    backbone's finest map: stride 1, 2 or 4. Padding, for images whose size is not a multiple of the deepest stride, is cropped.
    """

    def __init__(self, levels: Pyramid, core: UnetPlusPlusDecoder, out_channels: int) -> None:
        super().__init__(levels, core, out_channels)
        self.depth = int(core.depth)
        # smp's nodes have no channels at levels without a backbone map; the finest level with channels is supervised.
        self.finest = max(layer for layer in range(self.depth) if core.skip_channels[layer])
        self._inner = tuple((row, self.finest) for row in range(self.finest, 0, -1))
        self.inner_channels = (int(core.skip_channels[self.finest]),) * len(self._inner)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.with_inner(features)[0]

    def with_inner(self, features: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The decoder's output, and the maps of its inner nodes, [B, inner_channels[i], H/s, W/s] with stride s of the finest level."""
        levels, (height, width) = self._levels(features)
        nodes = self._nodes(levels[1:][::-1])
        x = self._node(0, self.depth)(nodes[0, self.depth - 1])
        maps = [nodes[place] for place in self._inner]
        stride = x.shape[-2] // maps[0].shape[-2] if maps else 1
        return x[..., :height, :width], [m[..., : -(-height // stride), : -(-width // stride)] for m in maps]

    def _nodes(self, maps: list[Tensor]) -> dict[tuple[int, int], Tensor]:
        """All nodes but the last one, by (row, column) as in smp's forward: node X[r, c] of row r uses the skip at column c.

        `maps` are the backbone's, deepest first. Concatenations have the same order as in smp, so that results are identical.
        smp's forward is not used, because hooks on its blocks would break the compiled graph.
        """
        nodes: dict[tuple[int, int], Tensor] = {}
        for offset in range(self.depth):
            for row in range(self.depth - offset):
                column = row + offset
                skip = maps[column + 1]
                if offset:
                    skip = torch.cat([*(nodes[above, column] for above in range(row + 1, column + 1)), skip], dim=1)
                below = nodes[row, column - 1] if offset else maps[row]
                nodes[row, column] = self._node(row, column)(below, skip)
        return nodes

    def _node(self, row: int, column: int) -> nn.Module:
        assert isinstance(self.core.blocks, nn.ModuleDict)
        return self.core.blocks[f"x_{row}_{column}"]


def unet(channels: Sequence[int], strides: Sequence[int], *, block_channels: Sequence[int]) -> DoublingDecoder:
    """U-Net (Ronneberger et al., 2015): nearest upsampling by 2, concatenation with the skip, two 3x3 convolutions."""
    levels = pyramid(channels, strides)
    widths = _widths(levels, block_channels)
    core = UnetDecoder(_encoder(levels), widths, n_blocks=levels.doublings)
    core.blocks = nn.ModuleList(SparingBlock(block) for block in core.blocks)
    return DoublingDecoder(levels, core, widths[-1])


def unet_plus_plus(
    channels: Sequence[int], strides: Sequence[int], *, block_channels: Sequence[int]
) -> DoublingDecoder:
    """U-Net++ (Zhou et al., 2018): nested, dense skip connections.

    Raises:
        SpecError: the backbone lacks a map at a stride of 4 or more.
    """
    levels = pyramid(channels, strides)
    widths = _widths(levels, block_channels)
    if None in levels.sources[2:]:
        raise SpecError(
            "unet-plus-plus requires a feature map at each stride from 4 on; choose unet, upernet or segformer"
        )
    if levels.full_size:
        # smp's last block upsamples without a skip; here the block before it is already at stride 1, with a skip.
        core = UnetPlusPlusDecoder(_encoder(levels), [*widths, widths[-1]], n_blocks=levels.doublings + 1)
        core.blocks[f"x_0_{levels.doublings}"] = nn.Identity()
    else:
        core = UnetPlusPlusDecoder(_encoder(levels), widths, n_blocks=levels.doublings)
    return DenseDecoder(levels, core, widths[-1])


def manet(
    channels: Sequence[int], strides: Sequence[int], *, block_channels: Sequence[int], attention_channels: int
) -> DoublingDecoder:
    """MA-Net (Fan et al., 2020): position attention at the deepest level, channel attention at each skip."""
    levels = pyramid(channels, strides)
    widths = _widths(levels, block_channels)
    core = MAnetDecoder(
        list(_encoder(levels)), list(widths), n_blocks=levels.doublings, pab_channels=attention_channels
    )
    return DoublingDecoder(levels, core, widths[-1])


def linknet(channels: Sequence[int], strides: Sequence[int], *, final_channels: int) -> DoublingDecoder:
    """LinkNet (Chaurasia and Culurciello, 2017): skips are added, so widths equal the backbone's channels.

    `final_channels` is the width at stride 1 if the backbone has no map there.
    """
    levels = pyramid(channels, strides)
    core = LinknetDecoder(list(_encoder(levels)), prefinal_channels=final_channels, n_blocks=levels.doublings)
    return DoublingDecoder(levels, core, levels.channels[0] or final_channels)


def _encoder(levels: Pyramid) -> tuple[int, ...]:
    return (0, *levels.channels) if levels.full_size else levels.channels


def _widths(levels: Pyramid, block_channels: Sequence[int]) -> tuple[int, ...]:
    """The last `levels.doublings` widths; the last one is at stride 1."""
    if len(block_channels) < levels.doublings:
        raise SpecError(
            f"the decoder's `channels` has {len(block_channels)} values, but this backbone (deepest stride "
            f"{1 << levels.doublings}) requires {levels.doublings}; add values"
        )
    return tuple(block_channels[-levels.doublings :])
