"""Till abbreviations that must never reach a shopper, for checks of names."""

import re

ABBREVIATIONS = frozenset(
    """alc asst bev bf bkd bkfst brd brkfst brst bskts btl btr cand carb catfd chix chp choc chs cke ckys cleang cnd cndles
    cndy cntrl cond conc crd crkr crmd crstdas ctlry ctn dan ddc dep dl dogfd dnr dnrs drk drnk drnkng drng elec elstc enh
    exa excp excpt fd flr flvr flvrd fmly frd frk frsh frz frzn fs grn grnd hbc hh hm htl hvy hygn inc incl ingred iqf iws
    jce juic lbs lce lgt liq lnchmt lndry lnnr ltr lvs mac marin mdse meatls med mfg mineralwate misc mlk mlt mnrl mtl mxs
    natrl nfl ntrtnl nut-supp nw oz- pck pckgd pkg pkgd pkld plst plstc pnch pnt porton ppk prep prepk preportnd presl
    presld presslcd prslc prtn prpck pttry pwdr pwdrs qsr rbr refrg refrgratd refrig rtd rtl rtw rw sal sald sausg sgl sgnl
    shld shldr shlfsh sld slc slg smi sndwch sngl snks spclty spec spr sprd spt srv ss stk supp supplmnt sv sw swt tam tiss
    tob tort trsh unswe vac veg w/o whl whlsm wht wkly wls wndr wtr xmas xpctrnt yng""".split()
)


def unread_words(name: str) -> list[str]:
    """What a shopper could not read in a name: known abbreviations, shouting capitals, codes and doubled words."""
    words = re.findall(r"[\w/']+", name)
    unread = [word for word in words if word.lower() in ABBREVIATIONS or re.fullmatch(r"[A-Z]{4,}|\d{6,}", word)]
    return unread + re.findall(r"\b([^\W\d]+) \1\b", name.lower()) + re.findall(r"[/()&]|,,|  | ,", name)
