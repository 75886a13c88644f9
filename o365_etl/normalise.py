"""The one way in which names and addresses are made comparable.

Every comparison of the program (matching rules, comparing fields, table keys) goes through `normalise`, so that the
transforms, the matching rules and the SQL (which gets it as a function) cannot disagree. Normalised text is for
comparing only: what people see is always the text as it was read.

What does not live here: which values are compared with which (`matching`, `store/sql`).
"""

from __future__ import annotations

import re
import unicodedata

# Word marks of legal forms, dots stripped, in the spelling `normalise` gives. Written from general knowledge of
# company law in the countries named; only suggestions use them, never a match.
_LEGAL_FORMS_TEXT = """
ltd limited llc llp lllp lp plc inc incorporated corp corporation co company pllc pbc cic cio pty
proprietary ulc unlimited dac clg ltda pvt private bhd sdn berhad pte gmbh ggmbh mbh ag kg kgaa ohg ug
gbr ek ev eg se partg partgmbb haftungsbeschrankt haftungsbeschränkt ges gesmbh sa sas sasu sarl sàrl
eurl snc sca scs sci scop scrl srl srls spa sapa soc coop scarl sl slu sll sau sc scp sociedad anonima
anónima limitada lda unipessoal eireli epp mei bv bvba nv vof cv cvba vzw asbl ivzw as asa ans ab hb kb
oy oyj ky tmi aps a/s i/s k/s p/s ivs hf ehf slf ou oü osaühing sia uab spzoo spzo spk spj sro vos ks
zrt kft bt nyrt kkt doo dd jdoo dooel ad ead eood ood ooo oao zao pao ооо оао зао пао ао ип тов фоп тд
еоод оод ад sti şti ltdsti anonim şirketi ae epe ike kk gk yk 株式会社 有限会社 合同会社 kabushiki kaisha 有限公司
股份有限公司 pt tbk wll fze fzco fzc fzllc psc saoc saog jsc pjsc ojsc cjsc sae
"""
LEGAL_FORMS = frozenset(_LEGAL_FORMS_TEXT.split())
# Left over between two legal forms: "GmbH & Co. KG".
_CONNECTORS = frozenset(("&", "and", "und", "et", "y", "e", "i", "+"))
_LONGEST_SPELT_FORM = 4  # "s a r l"

# Domains under which anybody can have a mailbox: they say nothing about an organization.
_PUBLIC_MAIL_DOMAINS_TEXT = """
outlook.com outlook.at outlook.be outlook.cl outlook.cz outlook.de outlook.dk outlook.es outlook.fr outlook.hu
outlook.ie outlook.in outlook.it outlook.jp outlook.kr outlook.lv outlook.ph outlook.pt outlook.sa outlook.sg
outlook.sk outlook.com.ar outlook.com.au outlook.com.br outlook.com.gr outlook.com.tr outlook.co.id
outlook.co.il outlook.co.nz outlook.co.th hotmail.com hotmail.at hotmail.be hotmail.ca hotmail.ch hotmail.co.jp
hotmail.co.nz hotmail.co.uk hotmail.com.ar hotmail.com.au hotmail.com.br hotmail.com.tr hotmail.de hotmail.dk
hotmail.es hotmail.fi hotmail.fr hotmail.gr hotmail.it hotmail.nl hotmail.no hotmail.se live.com live.at live.be
live.ca live.cn live.co.uk live.co.za live.com.au live.com.mx live.com.pt live.de live.dk live.fi live.fr
live.ie live.in live.it live.jp live.nl live.no live.se msn.com windowslive.com passport.com gmail.com
googlemail.com yahoo.com yahoo.at yahoo.ca yahoo.ch yahoo.cn yahoo.co.id yahoo.co.in yahoo.co.jp yahoo.co.kr
yahoo.co.nz yahoo.co.th yahoo.co.uk yahoo.co.za yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.cn yahoo.com.hk
yahoo.com.mx yahoo.com.my yahoo.com.ph yahoo.com.sg yahoo.com.tr yahoo.com.tw yahoo.com.vn yahoo.de yahoo.dk
yahoo.es yahoo.fi yahoo.fr yahoo.gr yahoo.ie yahoo.in yahoo.it yahoo.nl yahoo.no yahoo.pl yahoo.ro yahoo.se
ymail.com rocketmail.com myyahoo.com icloud.com me.com mac.com aol.com aol.co.uk aol.de aol.fr aim.com proton.me
protonmail.com protonmail.ch pm.me tutanota.com tutanota.de tutamail.com tuta.io tuta.com fastmail.com
fastmail.fm fastmail.com.au hey.com zoho.com zohomail.com zohomail.eu mail.com email.com usa.com gmx.com gmx.us
hushmail.com runbox.com posteo.de posteo.net mailbox.org mailfence.com startmail.com disroot.org riseup.net
inbox.com gmx.de gmx.net gmx.at gmx.ch web.de t-online.de freenet.de arcor.de 1und1.de online.de kabelmail.de
vodafonemail.de ewetel.net email.de mail.de bluewin.ch sunrise.ch hispeed.ch bluemail.ch swissonline.ch aon.at
chello.at inode.at liwest.at a1.net orange.fr wanadoo.fr free.fr sfr.fr neuf.fr laposte.net bbox.fr
numericable.fr club-internet.fr aliceadsl.fr cegetel.net skynet.be telenet.be proximus.be scarlet.be voo.be
ziggo.nl kpnmail.nl kpnplanet.nl planet.nl hetnet.nl xs4all.nl home.nl chello.nl upcmail.nl casema.nl
quicknet.nl tele2.nl pt.lu internet.lu btinternet.com btopenworld.com sky.com virginmedia.com virgin.net
blueyonder.co.uk ntlworld.com talktalk.net tiscali.co.uk plusnet.com plus.net zen.co.uk o2.co.uk orange.net
eircom.net libero.it virgilio.it alice.it tin.it tiscali.it fastwebnet.it email.it inwind.it iol.it aruba.it
pec.it telefonica.net terra.es ono.com movistar.es sapo.pt clix.pt netcabo.pt iol.pt otenet.gr forthnet.gr
telia.com bredband.net comhem.se tele2.se spray.se passagen.se online.no broadpark.no getmail.no tdcadsl.dk
jubii.dk mail.dk stofanet.dk kolumbus.fi elisanet.fi luukku.com pp.inet.fi simnet.is inbox.lv mail.ee wp.pl
o2.pl onet.pl onet.eu op.pl poczta.fm interia.pl interia.eu gazeta.pl tlen.pl seznam.cz email.cz centrum.cz
post.cz volny.cz atlas.cz azet.sk centrum.sk zoznam.sk freemail.hu citromail.hu t-online.hu abv.bg mail.bg
dir.bg yandex.ru yandex.com ya.ru mail.ru inbox.ru list.ru bk.ru internet.ru rambler.ru ukr.net i.ua meta.ua
bigmir.net tut.by comcast.net verizon.net att.net sbcglobal.net bellsouth.net ameritech.net pacbell.net
swbell.net cox.net charter.net spectrum.net rr.com roadrunner.com earthlink.net mindspring.com centurylink.net
centurytel.net q.com qwest.net frontier.com frontiernet.net windstream.net optonline.net optimum.net juno.com
netzero.net netzero.com suddenlink.net embarqmail.com tds.net wowway.com hughes.net rogers.com shaw.ca telus.net
bell.net sympatico.ca videotron.ca cogeco.ca eastlink.ca sasktel.net mts.net uol.com.br bol.com.br terra.com.br
ig.com.br globo.com globomail.com r7.com oi.com.br prodigy.net.mx fibertel.com.ar arnet.com.ar speedy.com.ar
ciudad.com.ar vtr.net qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sohu.com 139.com 189.cn
aliyun.com tom.com naver.com hanmail.net daum.net nate.com docomo.ne.jp ezweb.ne.jp softbank.ne.jp nifty.com
biglobe.ne.jp rediffmail.com sify.com indiatimes.com singnet.com.sg starhub.net.sg netvigator.com hinet.net
seed.net.tw bigpond.com bigpond.net.au optusnet.com.au iinet.net.au internode.on.net tpg.com.au dodo.com.au
westnet.com.au adam.com.au xtra.co.nz slingshot.co.nz orcon.net.nz vodafone.co.nz mweb.co.za telkomsa.net
webmail.co.za vodamail.co.za iafrica.com walla.com walla.co.il netvision.net.il bezeqint.net emirates.net.ae
"""
PUBLIC_MAIL_DOMAINS = frozenset(_PUBLIC_MAIL_DOMAINS_TEXT.split())
_TENANT_DOMAIN_SUFFIXES = (".onmicrosoft.com", ".onmicrosoft.us", ".partner.onmschina.cn")

# Country codes and exit codes stand before these digits of a phone number.
NATIONAL_DIGITS = 9
# A number that so many contacts or users have is a switchboard's.
SWITCHBOARD = 3
_NOT_DIGITS = re.compile(r"[^0-9]+")


def normalise(text: str) -> str:
    """Text as it is compared: NFKC, case folded, trimmed, inner blanks folded. Diacritics count. Idempotent."""
    if text.isascii():
        return " ".join(text.lower().split())
    text = unicodedata.normalize("NFKC", text)
    # Folding can undo the composed form (ΐ becomes three characters), and composing can yield a capital again.
    while (folded := unicodedata.normalize("NFKC", text.casefold())) != text:
        text = folded
    return " ".join(text.split())


def person_key(first: str | None, last: str | None) -> str | None:
    """First + last name, normalised; None unless both are there."""
    if not first or not last:
        return None
    if (whole := f"{first} {last}").isascii() and not first.isspace() and not last.isspace():
        return normalise(whole)
    first, last = normalise(first), normalise(last)
    return f"{first} {last}" if first and last else None


def digits(phone: str) -> str:
    """The ASCII digits of a phone number; phones compare on them."""
    return _NOT_DIGITS.sub("", phone)


def without_legal_form(name: str) -> str:
    """A name, normalised, without its legal form (Ltd, GmbH & Co. KG, Sp. z o.o.) at either end; never empty for a
    name that is not: a name that is nothing but legal forms keeps its first one.
    """
    words = [word for raw in normalise(name).split() if (word := raw.replace(".", "").strip(",;()"))]
    if not words:
        return normalise(name)
    while drop := _legal_form_at_end(words):
        del words[len(words) - drop :]
    while drop := _legal_form_at_start(words):
        del words[:drop]
    return " ".join(words)


def _legal_form_at_end(words: list[str]) -> int:
    for length in range(min(_LONGEST_SPELT_FORM, len(words) - 1), 0, -1):
        if _is_legal_form(words[-length:]):
            rest = len(words) - length
            dangling = rest > 1 and words[rest - 1] in _CONNECTORS
            return length + dangling
    return 0


def _legal_form_at_start(words: list[str]) -> int:
    for length in range(min(_LONGEST_SPELT_FORM, len(words) - 1), 0, -1):
        if _is_legal_form(words[:length]):
            return length
    return 0


def _is_legal_form(words: list[str]) -> bool:
    # Several words count only where a form is spelt out letter by letter ("s a r l", "sp z oo").
    return (len(words) == 1 or max(map(len, words)) <= 2) and "".join(words) in LEGAL_FORMS


def domain_of(address: str) -> str | None:
    """The domain of an e-mail address, normalised; None if it has none."""
    _, at, domain = normalise(address).rpartition("@")
    return domain if at and domain else None


def is_public_mail_domain(domain: str) -> bool:
    """True for a domain that says nothing about an organization: a public provider, or Microsoft's own for tenants."""
    domain = normalise(domain)
    return domain in PUBLIC_MAIL_DOMAINS or domain.endswith(_TENANT_DOMAIN_SUFFIXES)
