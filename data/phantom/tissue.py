"""How brightly each tissue shines in one patient's picture."""

from dataclasses import dataclass

from phantom.draws import Draws


@dataclass(frozen=True)
class Tissue:
    """Signals before the scanner's imperfections, 0 (black) to 1 (white)."""

    skin: float
    fat: float
    muscle: float
    bone: float
    marrow: float
    fluid: float
    cord: float
    blood: float
    liver: float
    liver_veins: float
    spleen: float
    cortex: float
    medulla: float
    bowel_wall: float
    pancreas: float
    bile: float
    gas: float
    mottle: float  # height of the organs' fine texture
    grain: float  # the same of fat and muscle, as a share of their signal


def draw_tissue(draws: Draws) -> Tissue:
    """Draw one patient's signals: the order of the tissues is common, the contrast between them is not."""
    liver = draws.between(0.36, 0.48)
    cortex = draws.between(0.56, 0.74)
    bright_blood = draws.chance(0.4)
    blood = draws.between(0.68, 0.85) if bright_blood else draws.between(0.08, 0.18)
    return Tissue(
        skin=draws.between(0.4, 0.6),
        fat=draws.between(0.12, 0.34),
        muscle=draws.between(0.22, 0.31),
        bone=draws.between(0.06, 0.12),
        marrow=draws.between(0.34, 0.5),
        fluid=draws.between(0.88, 1.0),
        cord=draws.between(0.45, 0.55),
        blood=blood,
        liver=liver,
        liver_veins=0.3 * liver + 0.7 * blood,
        spleen=liver + draws.between(0.1, 0.22),
        cortex=cortex,
        medulla=cortex + draws.between(-0.1, 0.2),
        bowel_wall=draws.between(0.36, 0.52),
        pancreas=liver + draws.between(-0.06, 0.08),
        bile=draws.between(0.75, 1.0) if draws.chance(0.7) else draws.between(0.2, 0.4),
        gas=draws.between(0.03, 0.07),
        mottle=draws.between(0.03, 0.07),
        grain=draws.between(0.2, 0.5),
    )
